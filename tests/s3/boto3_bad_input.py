"""What no client should send: refused by AWS's code, and nothing of it is seen."""

import socket
import time
import urllib.parse

from common import ENDPOINT, body, bucket, case, code_of, main, pattern, put, refused, s3, send, signed

B = bucket("bad")
HOST = urllib.parse.urlsplit(ENDPOINT)


def absent(key):
    with refused(404):
        s3.head_object(Bucket=B, Key=key)


def raw(request, wire, shut=True, wait=20):
    """Sends bytes after a signed head and reads what comes back until the connection ends."""
    with socket.create_connection((HOST.hostname, HOST.port), timeout=wait) as connection:
        path = urllib.parse.urlsplit(request.url).path
        head = f"{request.method} {path} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        connection.sendall(head.encode() + b"\r\n" + wire)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            try:
                more = connection.recv(65536)
            except (ConnectionError, TimeoutError):
                break
            if not more:
                break
            answer += more
        return answer.decode(errors="replace")


@case
def a_body_that_stops_in_the_middle_leaves_nothing():
    data = pattern(200_000)
    request = signed("PUT", f"/{B}/stopped", data=data, headers={"Content-Length": str(len(data))})
    answer = raw(request, data[:100_000])
    assert answer == "" or "IncompleteBody" in answer, answer
    time.sleep(0.2)
    absent("stopped")


@case
def a_wrong_length_is_refused():
    status, _, text = send(signed("PUT", f"/{B}/long", data=b"x", headers={"Content-Length": "-1"}), b"x")
    assert status == 400, (status, text)
    request = signed("PUT", f"/{B}/huge", headers={"Content-Length": str(6 << 30)})
    answer = raw(request, b"", shut=False)
    assert "EntityTooLarge" in answer, answer
    request = signed("PUT", f"/{B}/nolength", data=b"x", headers={"Transfer-Encoding": "chunked"})
    answer = raw(request, b"1\r\nx\r\n0\r\n\r\n", shut=False)
    assert "MissingContentLength" in answer and " 411 " in answer.splitlines()[0], answer
    absent("long"), absent("huge"), absent("nolength")


@case
def odd_names_are_refused_or_kept_apart():
    status, _, text = send(signed("PUT", f"/{B}/%ff%fe"))
    assert (status, code_of(text)) == (400, "InvalidURI"), text
    status, _, text = send(signed("PUT", f"/{B}/" + "x" * 1025))
    assert (status, code_of(text)) == (400, "KeyTooLongError"), text
    status, _, text = send(signed("GET", "/..%2f..%2fetc/passwd"))
    assert (status, code_of(text)) == (400, "InvalidBucketName"), text
    put(B, "../../escape", b"inside")
    assert body(B, "../../escape") == b"inside"
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=B, Prefix="..")["Contents"]] == ["../../escape"]


@case
def documents_that_are_none_are_refused():
    post = lambda text: send(signed("POST", f"/{B}", data=text, query="delete="), text)
    for text in [b"", b"<", b"<Delete>", b"not xml", b"<Other/>", b"\xff\xfe<Delete/>"]:
        status, _, document = post(text)
        assert status == 400 and code_of(document) in ("MalformedXML", "MissingRequestBodyError"), (text, document)
    bomb = b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(8)
    ) + b"]><Delete><Object><Key>&i;</Key></Object></Delete>"
    began = time.time()
    status, _, document = post(bomb)
    assert status == 400 and code_of(document) == "MalformedXML", document
    assert time.time() - began < 2
    deep = b"<Delete>" + b"<Object>" * 50_000
    assert post(deep)[0] == 400
    long = b"<Delete>" + b" " * (5 << 20) + b"</Delete>"
    request = signed("POST", f"/{B}", data=long, query="delete=")
    status, _, document = send(request, long)
    assert (status, code_of(document)) == (400, "MaxMessageLengthExceeded"), document


@case
def heads_that_are_none_are_refused():
    def answer(text):
        with socket.create_connection((HOST.hostname, HOST.port), timeout=10) as connection:
            try:
                connection.sendall(text)
                return connection.recv(65536).decode(errors="replace")
            except ConnectionError:
                return ""

    assert " 400 " in answer(b"nonsense\r\n\r\n").splitlines()[0]
    long = answer(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n")
    assert long == "" or " 431 " in long.splitlines()[0], long
    many = answer(b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(300)) + b"\r\n")
    assert many == "" or " 431 " in many.splitlines()[0], many


@case
def a_form_is_not_taken_for_something_else():
    form = b"--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--x--\r\n"
    request = signed("POST", f"/{B}", data=form, headers={"Content-Type": "multipart/form-data; boundary=x"})
    status, _, text = send(request, form)
    assert (status, code_of(text)) == (501, "NotImplemented") and "PostObject" in text, text


@case
def every_answer_names_its_request():
    status, headers, text = send(signed("GET", f"/{B}/none"))
    lower = {name.lower(): value for name, value in headers.items()}
    assert status == 404 and lower["content-type"] == "application/xml"
    assert f"<RequestId>{lower['x-amz-request-id']}<" in text and f"<Resource>/{B}/none<" in text
    second = send(signed("GET", "/"))[1]
    assert second["x-amz-request-id"] != headers["x-amz-request-id"]


main()
