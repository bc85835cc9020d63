"""Who may ask: signatures in the header, in a presigned URL, over chunks; and what is refused of them, by code."""

import base64
import datetime
import hashlib
import hmac
import time
import urllib.error
import urllib.request
import zlib

import botocore.auth

from common import (
    KEY,
    REGION,
    SECRET,
    body,
    bucket,
    case,
    client,
    code_of,
    main,
    pattern,
    put,
    refused,
    s3,
    send,
    signed,
)

B = bucket("signing")


def fetch(url, method="GET", data=None):
    request = urllib.request.Request(url, method=method, data=data)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@case
def a_wrong_signer_is_refused_by_code():
    with refused("SignatureDoesNotMatch", 403):
        client(secret="not the secret").list_buckets()
    with refused("InvalidAccessKeyId", 403):
        client(key="nobody").list_buckets()
    with refused("AuthorizationHeaderMalformed", 400):
        client(region="eu-west-3").list_buckets()
    status, _, text = send(signed("GET", "/"), extra={"Authorization": None})
    assert (status, code_of(text)) == (403, "AccessDenied")
    status, _, text = send(signed("GET", "/"), extra={"Authorization": f"AWS {KEY}:c2lnbmF0dXJl"})
    assert (status, code_of(text)) == (400, "InvalidRequest")
    status, _, text = send(signed("GET", "/"), extra={"Authorization": "AWS4-HMAC-SHA256 nonsense"})
    assert (status, code_of(text)) == (400, "AuthorizationHeaderMalformed")


@case
def what_was_signed_cannot_be_changed():
    put(B, "k")
    request = signed("GET", f"/{B}/k")
    assert send(request)[0] == 200
    assert code_of(send(request, path=f"/{B}/other")[2]) == "SignatureDoesNotMatch"
    assert code_of(send(request, path=f"/{B}/k?acl")[2]) == "SignatureDoesNotMatch"
    assert code_of(send(request, extra={"X-Amz-Date": "20200101T000000Z"})[2]) in (
        "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed")
    # A header that was not signed could be anybody's.
    assert code_of(send(request, extra={"X-Amz-Copy-Source": f"{B}/k"})[2]) == "AccessDenied"


@case
def a_request_of_another_time_is_refused():
    put(B, "k")

    def at(offset):
        request = signed("GET", f"/{B}/k")
        when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=offset)
        stamp = when.strftime("%Y%m%dT%H%M%SZ")
        headers = {
            "host": request.headers["Host"],
            "x-amz-content-sha256": request.headers["X-Amz-Content-SHA256"],
            "x-amz-date": stamp,
        }
        names = ";".join(sorted(headers))
        canonical = "\n".join(
            ["GET", f"/{B}/k", "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names,
             headers["x-amz-content-sha256"]]
        )
        scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.new(signing_key(stamp[:8]), text.encode(), hashlib.sha256).hexdigest()
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return send(request, extra={"X-Amz-Date": stamp, "Authorization": authorization})

    assert at(0)[0] == 200 and at(-600)[0] == 200 and at(600)[0] == 200
    for offset in [-1000, 1000]:
        status, _, text = at(offset)
        assert (status, code_of(text)) == (403, "RequestTimeTooSkewed"), text
        assert "<MaxAllowedSkewMilliseconds>900000<" in text


def signing_key(day):
    key = ("AWS4" + SECRET).encode()
    for part in [day, REGION, "s3", "aws4_request"]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


@case
def a_presigned_url_works_until_it_expires():
    put(B, "presigned", b"shared")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": B, "Key": "presigned"}, ExpiresIn=60)
    assert fetch(url) == (200, b"shared")
    up = s3.generate_presigned_url("put_object", Params={"Bucket": B, "Key": "presigned"}, ExpiresIn=60)
    assert fetch(up, "PUT", b"changed")[0] == 200 and body(B, "presigned") == b"changed"
    typed = s3.generate_presigned_url(
        "get_object",
        Params={"Bucket": B, "Key": "presigned", "ResponseContentType": "a/b"},
        ExpiresIn=60,
    )
    assert urllib.request.urlopen(typed).headers["Content-Type"] == "a/b"
    status, text = fetch(url.replace("presigned?", "other?"))
    assert (status, code_of(text.decode())) == (403, "SignatureDoesNotMatch")
    status, text = fetch(up)
    assert (status, code_of(text.decode())) == (403, "SignatureDoesNotMatch"), "a PUT's URL is no GET's"
    short = s3.generate_presigned_url("get_object", Params={"Bucket": B, "Key": "presigned"}, ExpiresIn=1)
    time.sleep(2.1)
    status, text = fetch(short)
    assert (status, code_of(text.decode())) == (403, "AccessDenied") and b"expired" in text
    long = s3.generate_presigned_url("get_object", Params={"Bucket": B, "Key": "presigned"}, ExpiresIn=604801)
    status, text = fetch(long)
    assert (status, code_of(text.decode())) == (400, "AuthorizationQueryParametersError")


def chunked(key, chunks, mode, tamper=None, declared=None, trailer=None, break_trailer=False):
    """Puts chunks by hand, signed each where the mode says so; `tamper` changes the wire's bytes."""
    data = b"".join(chunks)
    headers = {"X-Amz-Decoded-Content-Length": str(len(data) if declared is None else declared)}
    headers["Content-Encoding"] = "aws-chunked"
    if trailer:
        headers["X-Amz-Trailer"] = trailer[0]
    request = signed("PUT", f"/{B}/{key}", headers=headers, sha256=mode)
    signs = "UNSIGNED" not in mode
    stamp = request.headers["X-Amz-Date"]
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    previous = request.headers["Authorization"].rsplit("Signature=", 1)[1]
    empty = hashlib.sha256(b"").hexdigest()
    key_bytes = signing_key(stamp[:8])
    wire = b""
    for chunk in [*chunks, b""]:
        head = f"{len(chunk):x}"
        if signs:
            text = "\n".join(
                ["AWS4-HMAC-SHA256-PAYLOAD", stamp, scope, previous, empty, hashlib.sha256(chunk).hexdigest()]
            )
            previous = hmac.new(key_bytes, text.encode(), hashlib.sha256).hexdigest()
            head += f";chunk-signature={previous}"
        wire += head.encode() + b"\r\n" + chunk + (b"\r\n" if chunk else b"")
    if trailer:
        name, value = trailer
        wire += f"{name}:{value}\r\n".encode()
        if signs:
            canonical = f"{name}:{value}\n"
            text = "\n".join(
                ["AWS4-HMAC-SHA256-TRAILER", stamp, scope, previous,
                 hashlib.sha256(canonical.encode()).hexdigest()]
            )
            signature = hmac.new(key_bytes, text.encode(), hashlib.sha256).hexdigest()
            if break_trailer:
                signature = "0" * 64
            wire += f"x-amz-trailer-signature:{signature}\r\n".encode()
    wire += b"\r\n"
    if tamper:
        wire = tamper(wire)
    status, _, text = send(request, wire)
    return status, (code_of(text) if status != 200 else None)


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


CHUNKS = [pattern(70_000, 1), pattern(65_536, 2), pattern(5, 3)]
WHOLE = b"".join(CHUNKS)
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
TRAILER = ("x-amz-checksum-crc32", crc32(WHOLE))


@case
def chunks_are_taken_apart_and_verified():
    assert chunked("c", CHUNKS, SIGNED) == (200, None)
    assert body(B, "c") == WHOLE
    assert "ContentEncoding" not in s3.head_object(Bucket=B, Key="c")
    assert chunked("ct", CHUNKS, SIGNED + "-TRAILER", trailer=TRAILER) == (200, None)
    assert body(B, "ct") == WHOLE
    assert chunked("u", CHUNKS, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", trailer=TRAILER) == (200, None)
    assert s3.head_object(Bucket=B, Key="u", ChecksumMode="ENABLED")["ChecksumCRC32"] == TRAILER[1]
    assert chunked("e", [], SIGNED) == (200, None) and body(B, "e") == b""


@case
def tampered_chunks_are_refused_and_leave_nothing():
    flip = lambda wire: wire[:5000] + bytes([wire[5000] ^ 1]) + wire[5001:]
    assert chunked("bad", CHUNKS, SIGNED, tamper=flip) == (403, "SignatureDoesNotMatch")
    cut = lambda wire: wire[: wire.index(b"\r\n", 70_100) + 2]
    assert chunked("bad", CHUNKS, SIGNED, tamper=cut)[1] in ("IncompleteBody", "InvalidRequest")
    assert chunked("bad", CHUNKS, SIGNED, declared=len(WHOLE) + 1)[1] == "IncompleteBody"
    assert chunked("bad", CHUNKS, SIGNED, declared=len(WHOLE) - 1)[1] == "IncompleteBody"
    unsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    wrong = ("x-amz-checksum-crc32", crc32(b"other"))
    assert chunked("bad", CHUNKS, unsigned, trailer=wrong) == (400, "BadDigest")
    drop = lambda wire: wire.replace(f"{TRAILER[0]}:{TRAILER[1]}\r\n".encode(), b"")
    assert chunked("bad", CHUNKS, unsigned, trailer=TRAILER, tamper=drop) == (400, "MalformedTrailerError")
    assert chunked("bad", CHUNKS, unsigned, tamper=lambda _: b"zz\r\n")[1] == "InvalidRequest"
    broken = chunked("bad", CHUNKS, SIGNED + "-TRAILER", trailer=TRAILER, break_trailer=True)
    assert broken == (403, "SignatureDoesNotMatch")
    bare = lambda wire: b"5\r\nhello\r\n0\r\n\r\n"
    assert chunked("bad", [b"hello"], SIGNED, tamper=bare)[1] == "InvalidChunkSizeError"
    with refused(404):
        s3.head_object(Bucket=B, Key="bad")


@case
def a_body_must_be_the_one_that_was_signed():
    request = signed("PUT", f"/{B}/bad", data=b"what was signed")
    status, _, text = send(request, b"what was sent..")
    assert (status, code_of(text)) == (400, "XAmzContentSHA256Mismatch"), text
    request = signed("PUT", f"/{B}/bad", data=b"x", sha256="nonsense")
    status, _, text = send(request, b"x")
    assert (status, code_of(text)) == (400, "InvalidArgument"), text
    with refused(404):
        s3.head_object(Bucket=B, Key="bad")


main()
