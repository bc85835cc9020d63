"""A gateway that is told to end in the middle of a put: the put is answered, nobody else is let in, the object is there.

With S3_PID the gateway of that process is told to end; without, the object of the time before is looked at.
"""

import http.client
import os
import signal
import socket
import time

from common import ENDPOINT, body, pattern, put, s3, signed

BUCKET = "draining"
DATA = pattern(3_000_000)


def parts(connection_of):
    at = ENDPOINT.removeprefix("http://")
    host, port = at.rsplit(":", 1)
    return connection_of(host, int(port))


def in_the_middle(pid):
    s3.create_bucket(Bucket=BUCKET)
    put(BUCKET, "before")
    request = signed("PUT", f"/{BUCKET}/late", data=DATA)
    connection = parts(lambda host, port: http.client.HTTPConnection(host, port, timeout=30))
    connection.putrequest("PUT", f"/{BUCKET}/late", skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(DATA)))
    connection.endheaders()
    connection.send(DATA[:1_000_000])
    time.sleep(0.5)
    os.kill(pid, signal.SIGTERM)
    for _ in range(100):
        try:
            parts(lambda host, port: socket.create_connection((host, port), timeout=5)).close()
        except ConnectionRefusedError:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("a gateway that ends still takes connections")
    connection.send(DATA[1_000_000:])
    answer = connection.getresponse()
    assert answer.status == 200, f"the put under way is answered {answer.status} {answer.read()}"


if os.environ["S3_PID"]:
    in_the_middle(int(os.environ["S3_PID"]))
else:
    assert body(BUCKET, "late") == DATA and body(BUCKET, "before") == b"body"
