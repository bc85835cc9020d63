"""Objects: put, get, head, copy and delete, with ranges, conditions, overrides, metadata and checksums."""

import base64
import datetime
import hashlib
import zlib

from common import body, bucket, case, main, pattern, put, refused, s3, send, signed

B = bucket("objects")


@case
def an_object_comes_back_byte_for_byte():
    for length in [0, 1, 4096, 65537, (1 << 20) + 1, (9 << 20) + 77]:
        data = pattern(length, length)
        etag = put(B, f"size/{length}", data)["ETag"]
        assert etag == f'"{hashlib.md5(data).hexdigest()}"'
        assert body(B, f"size/{length}") == data, f"{length} bytes came back changed"
        head = s3.head_object(Bucket=B, Key=f"size/{length}")
        assert (head["ContentLength"], head["ETag"]) == (length, etag)


@case
def get_and_head_are_refused_by_code():
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=B, Key="none")
    with refused(404):
        s3.head_object(Bucket=B, Key="none")
    with refused("NoSuchBucket", 404):
        s3.get_object(Bucket="no-such-bucket-here", Key="none")
    put(B, "here")
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=B, Key="here", ExpectedBucketOwner="somebody-else")


@case
def ranges_are_cut_as_asked():
    data = pattern(3_000_000)
    put(B, "ranged", data)
    for text, wanted, at in [
        ("bytes=0-9", data[:10], "0-9"),
        ("bytes=2999990-", data[-10:], "2999990-2999999"),
        ("bytes=-7", data[-7:], "2999993-2999999"),
        ("bytes=1048570-1048580", data[1048570:1048581], "1048570-1048580"),
        ("bytes=5-99999999", data[5:], "5-2999999"),
    ]:
        answer = s3.get_object(Bucket=B, Key="ranged", Range=text)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["ContentRange"] == f"bytes {at}/3000000", answer["ContentRange"]
        assert answer["Body"].read() == wanted, text
    with refused("InvalidRange", 416):
        s3.get_object(Bucket=B, Key="ranged", Range="bytes=3000000-")
    # A range that is none is ignored.
    for text in ["bytes=9-5", "lines=1-2", "bytes=x"]:
        assert s3.get_object(Bucket=B, Key="ranged", Range=text)["ContentLength"] == 3_000_000
    head = s3.head_object(Bucket=B, Key="ranged", Range="bytes=0-9")
    assert (head["ContentLength"], head["ResponseMetadata"]["HTTPStatusCode"]) == (10, 206)
    put(B, "empty", b"")
    with refused("InvalidRange", 416):
        s3.get_object(Bucket=B, Key="empty", Range="bytes=0-0")


@case
def conditions_hold_or_refuse():
    etag = put(B, "conditional", b"one")["ETag"]
    changed = s3.head_object(Bucket=B, Key="conditional")["LastModified"]
    hour = datetime.timedelta(hours=1)
    get = lambda **more: s3.get_object(Bucket=B, Key="conditional", **more)["Body"].read()
    assert get(IfMatch=etag) == b"one" and get(IfMatch=etag.strip('"')) == b"one"
    assert get(IfNoneMatch='"other"') == b"one"
    assert get(IfModifiedSince=changed - hour) == b"one" and get(IfUnmodifiedSince=changed) == b"one"
    with refused("PreconditionFailed", 412):
        get(IfMatch='"other"')
    with refused("304", 304):
        get(IfNoneMatch=etag)
    with refused("304", 304):
        get(IfModifiedSince=changed)
    with refused("PreconditionFailed", 412):
        get(IfUnmodifiedSince=changed - hour)
    with refused("304", 304):
        s3.head_object(Bucket=B, Key="conditional", IfNoneMatch=etag)


@case
def a_write_can_depend_on_what_is_there():
    put(B, "once", b"1", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        put(B, "once", b"2", IfNoneMatch="*")
    assert body(B, "once") == b"1"
    etag = s3.head_object(Bucket=B, Key="once")["ETag"]
    with refused("PreconditionFailed", 412):
        put(B, "once", b"2", IfMatch='"00000000000000000000000000000000"')
    put(B, "once", b"2", IfMatch=etag)
    assert body(B, "once") == b"2"
    with refused("NoSuchKey", 404):
        put(B, "never", b"2", IfMatch=etag)
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=B, Key="once", IfMatch=etag)
    s3.delete_object(Bucket=B, Key="once", IfMatch=s3.head_object(Bucket=B, Key="once")["ETag"])
    with refused(404):
        s3.head_object(Bucket=B, Key="once")


@case
def what_is_said_of_an_object_is_said_again():
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    said = dict(
        ContentType="text/x-test",
        ContentEncoding="identity",
        ContentDisposition='attachment; filename="a b"',
        ContentLanguage="de, en",
        CacheControl="max-age=7",
        Metadata={"first": "1", "second-one": "zwei drei"},
    )
    put(B, "said", b"x", Expires=expires, **said)
    for answer in [s3.head_object(Bucket=B, Key="said"), s3.get_object(Bucket=B, Key="said")]:
        assert {name: answer[name] for name in said} == said
        assert answer["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT"
    put(B, "unsaid", b"x")
    assert s3.head_object(Bucket=B, Key="unsaid")["ContentType"] == "binary/octet-stream"
    with refused("MetadataTooLarge", 400):
        put(B, "said", b"x", Metadata={"long": "x" * 2100})
    override = s3.get_object(
        Bucket=B,
        Key="said",
        ResponseContentType="a/b",
        ResponseCacheControl="no-store",
        ResponseContentDisposition="inline",
        ResponseContentLanguage="fr",
        ResponseContentEncoding="x",
        ResponseExpires=expires,
    )
    assert (override["ContentType"], override["CacheControl"]) == ("a/b", "no-store")
    assert (override["ContentDisposition"], override["ContentLanguage"]) == ("inline", "fr")


@case
def keys_may_be_odd():
    for key in ["..", "a/../b", "a//b", "./x", "ü/ß 漢", "a+b c%20d", "trailing/", "quote'\"<&>", "x" * 1024, "-", "~"]:
        data = key.encode()
        put(B, key, data)
        assert body(B, key) == data, key
        assert key in [found["Key"] for found in s3.list_objects_v2(Bucket=B, Prefix=key)["Contents"]], key
        s3.delete_object(Bucket=B, Key=key)
    with refused("KeyTooLongError", 400):
        put(B, "x" * 1025)


@case
def objects_are_copied():
    put(B, "source", b"bytes", Metadata={"a": "1"}, ContentType="text/plain", CacheControl="no-cache")
    answer = s3.copy_object(Bucket=B, Key="copy", CopySource={"Bucket": B, "Key": "source"})
    assert answer["CopyObjectResult"]["ETag"] == s3.head_object(Bucket=B, Key="source")["ETag"]
    head = s3.head_object(Bucket=B, Key="copy")
    assert (head["Metadata"], head["ContentType"], head["CacheControl"]) == ({"a": "1"}, "text/plain", "no-cache")
    s3.copy_object(
        Bucket=B, Key="copy", CopySource=f"{B}/copy", MetadataDirective="REPLACE", Metadata={"b": "2"}
    )
    head = s3.head_object(Bucket=B, Key="copy")
    assert head["Metadata"] == {"b": "2"} and body(B, "copy") == b"bytes"
    put(B, "odd/ü +%", b"odd")
    s3.copy_object(Bucket=B, Key="copy2", CopySource={"Bucket": B, "Key": "odd/ü +%"})
    assert body(B, "copy2") == b"odd"


@case
def copy_is_refused_by_code():
    put(B, "from", b"x")
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=B, Key="to", CopySource=f"{B}/none")
    with refused("NoSuchBucket", 404):
        s3.copy_object(Bucket=B, Key="to", CopySource="no-such-bucket-here/k")
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=B, Key="from", CopySource=f"{B}/from")
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=B, Key="to", CopySource=f"{B}/from", CopySourceIfMatch='"other"')
    etag = s3.head_object(Bucket=B, Key="from")["ETag"]
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=B, Key="to", CopySource=f"{B}/from", CopySourceIfNoneMatch=etag)


@case
def one_and_many_are_deleted():
    put(B, "gone")
    s3.delete_object(Bucket=B, Key="gone")
    s3.delete_object(Bucket=B, Key="gone")
    with refused("NoSuchBucket", 404):
        s3.delete_object(Bucket="no-such-bucket-here", Key="k")
    for n in range(5):
        put(B, f"many/{n}")
    keys = [{"Key": f"many/{n}"} for n in range(4)] + [{"Key": "many/none"}]
    answer = s3.delete_objects(Bucket=B, Delete={"Objects": keys})
    assert sorted(done["Key"] for done in answer["Deleted"]) == sorted(key["Key"] for key in keys)
    assert "Errors" not in answer
    quiet = s3.delete_objects(Bucket=B, Delete={"Objects": [{"Key": "many/4"}], "Quiet": True})
    assert "Deleted" not in quiet and "Errors" not in quiet
    assert "Contents" not in s3.list_objects_v2(Bucket=B, Prefix="many/")
    with refused("MalformedXML", 400):
        s3.delete_objects(Bucket=B, Delete={"Objects": [{"Key": str(n)} for n in range(1001)]})
    with refused("NoSuchBucket", 404):
        s3.delete_objects(Bucket="no-such-bucket-here", Delete={"Objects": [{"Key": "k"}]})


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@case
def checksums_are_verified_stored_and_returned():
    data = pattern(100_000)
    sha1 = base64.b64encode(hashlib.sha1(data).digest()).decode()
    sha256 = base64.b64encode(hashlib.sha256(data).digest()).decode()
    for name, value in {"CRC32": crc32(data), "SHA1": sha1, "SHA256": sha256}.items():
        answer = put(B, "checked", data, **{f"Checksum{name}": value})
        assert answer[f"Checksum{name}"] == value
        head = s3.head_object(Bucket=B, Key="checked", ChecksumMode="ENABLED")
        assert (head[f"Checksum{name}"], head["ChecksumType"]) == (value, "FULL_OBJECT")
        with refused("BadDigest", 400):
            put(B, "unchecked", data + b"!", **{f"Checksum{name}": value})
    answer = put(B, "checked", data, ChecksumAlgorithm="CRC32")
    assert answer["ChecksumCRC32"] == crc32(data)
    assert body(B, "checked", ChecksumMode="ENABLED") == data
    with refused("InvalidRequest", 400):
        put(B, "unchecked", data, ChecksumCRC32="AAAA")
    with refused(404):
        s3.head_object(Bucket=B, Key="unchecked")


@case
def a_content_md5_is_verified():
    data = b"some bytes"
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    put(B, "md5", data, ContentMD5=md5)
    with refused("BadDigest", 400):
        put(B, "md5-bad", data + b"!", ContentMD5=md5)
    with refused("InvalidDigest", 400):
        put(B, "md5-bad", data, ContentMD5="nonsense")
    with refused(404):
        s3.head_object(Bucket=B, Key="md5-bad")


@case
def storage_classes_choose_how_an_object_is_kept():
    put(B, "ia", b"x" * 5000, StorageClass="STANDARD_IA")
    assert s3.head_object(Bucket=B, Key="ia")["StorageClass"] == "STANDARD_IA"
    assert body(B, "ia") == b"x" * 5000
    listed = s3.list_objects_v2(Bucket=B, Prefix="ia")["Contents"][0]
    assert listed["StorageClass"] == "STANDARD_IA"
    put(B, "rr", b"x", StorageClass="REDUCED_REDUNDANCY")
    assert s3.head_object(Bucket=B, Key="rr")["StorageClass"] == "REDUCED_REDUNDANCY"
    with refused("InvalidStorageClass", 400):
        put(B, "oz", b"x", StorageClass="SNOW")


@case
def protection_that_is_not_there_is_refused():
    with refused("NotImplemented", 501):
        put(B, "sse", b"x", ServerSideEncryption="AES256")
    with refused("NotImplemented", 501):
        put(B, "lock", b"x", ObjectLockLegalHoldStatus="ON")
    with refused("AccessControlListNotSupported", 400):
        put(B, "acl", b"x", ACL="public-read")
    with refused("NotImplemented", 501):
        put(B, "web", b"x", WebsiteRedirectLocation="/x")
    put(B, "acl", b"x", ACL="bucket-owner-full-control")


@case
def a_bucket_is_named_by_its_host_too():
    request = signed("PUT", "/by/host", data=b"host", host=f"{B}.localhost")
    assert send(request, b"host")[0] == 200
    assert body(B, "by/host") == b"host"
    status, _, text = send(signed("GET", "/", query="list-type=2&prefix=by%2F", host=f"{B}.localhost:1234"))
    assert status == 200 and "<KeyCount>1</KeyCount>" in text, text
    assert send(signed("GET", f"/{B}/by/host", host="localhost"))[2] == "host"


main()
