"""Clients that stand still: they cost a place for a while and nothing else. Runs against a gateway with a short patience."""

import os
import socket
import time
import urllib.parse

from common import ENDPOINT, bucket, case, code_of, main, pattern, put, refused, s3, signed

B = bucket("slow")
HOST = urllib.parse.urlsplit(ENDPOINT)
IDLE = float(os.environ["S3_IDLE"])


def connect():
    return socket.create_connection((HOST.hostname, HOST.port), timeout=IDLE * 10 + 30)


def ended(connection):
    """What comes before the other side ends the connection, and after how long."""
    began, answer = time.time(), b""
    try:
        while more := connection.recv(65536):
            answer += more
    except ConnectionError:
        pass
    return answer.decode(errors="replace"), time.time() - began


@case
def a_body_that_stands_still_times_out():
    data = pattern(100_000)
    request = signed("PUT", f"/{B}/still", data=data, headers={"Content-Length": str(len(data))})
    with connect() as connection:
        head = f"PUT /{B}/still HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        connection.sendall(head.encode() + b"\r\n" + data[:1000])
        answer, took = ended(connection)
    assert "RequestTimeout" in answer and took < IDLE * 3 + 6, (answer, took)
    with refused(404):
        s3.head_object(Bucket=B, Key="still")


@case
def an_answer_that_nobody_reads_is_given_up():
    put(B, "large", pattern(32 << 20))
    request = signed("GET", f"/{B}/large")
    with connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        head = f"GET /{B}/large HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        connection.sendall(head.encode() + b"\r\n")
        time.sleep(IDLE * 2 + 2)
        answer, _ = ended(connection)
    assert len(answer) < (32 << 20), "it was sent although nobody read"


@case
def one_connection_too_many_is_told():
    held = [connect() for _ in range(int(os.environ["S3_CONNECTIONS"]))]
    try:
        deadline = time.time() + 5
        while time.time() < deadline:
            with connect() as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                try:
                    answer = connection.recv(65536).decode()
                except ConnectionError:
                    answer = ""
            if " 503 " in answer.splitlines()[0] if answer else False:
                assert code_of(answer) == "SlowDown"
                return
        raise AssertionError("nobody was turned away")
    finally:
        for connection in held:
            connection.close()


main()
