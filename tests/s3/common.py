"""What the boto3 cases share: clients, cases that are sentences, and refusals by code."""

import contextlib
import hashlib
import os
import sys
import traceback
import urllib.parse
import uuid

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import http.client

ENDPOINT = os.environ["S3_ENDPOINT"]
KEY = os.environ["S3_KEY"]
SECRET = os.environ["S3_SECRET"]
REGION = "us-east-1"
CASES = []


def client(key=KEY, secret=SECRET, region=REGION, endpoint=ENDPOINT, style="path", **config):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name=region,
        config=botocore.config.Config(
            signature_version="s3v4", s3={"addressing_style": style}, retries={"max_attempts": 1, "mode": "standard"}, **config
        ),
    )


s3 = client()


def case(run):
    CASES.append(run)
    return run


def bucket(name="b"):
    """A new bucket's name, made."""
    made = f"{name}-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=made)
    return made


def put(bucket, key, body=b"body", **more):
    return s3.put_object(Bucket=bucket, Key=key, Body=body, **more)


def body(bucket, key, **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def pattern(length, seed=0):
    block = hashlib.sha256(str(seed).encode()).digest()
    return (block * (length // len(block) + 1))[:length]


@contextlib.contextmanager
def refused(code, status=None):
    """What runs inside is refused with this code. HEAD has no document: there the status stands for the code."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        found = error.response["Error"]["Code"]
        at = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert found == str(code), f"refused with {found} ({error}) instead of {code}"
        assert status is None or at == status, f"refused with status {at} instead of {status}"
        return
    raise AssertionError(f"not refused; {code} was expected")


def signed(method, path, data=b"", headers=None, query="", key=KEY, secret=SECRET, region=REGION, sha256=None, host=None):
    """A request that boto3 would not send, signed. Gives an AWSRequest with its headers."""
    at = urllib.parse.urlsplit(ENDPOINT).netloc
    url = f"{ENDPOINT}{path}" + (f"?{query}" if query else "")
    request = botocore.awsrequest.AWSRequest(method=method, url=url, data=data, headers=dict(headers or {}))
    request.headers["Host"] = host or at
    content = sha256 or hashlib.sha256(data).hexdigest()
    credentials = botocore.credentials.Credentials(key, secret)

    class Signer(botocore.auth.S3SigV4Auth):
        def payload(self, _):
            return content

    Signer(credentials, "s3", region).add_auth(request)
    return request


def send(request, data=b"", path=None, extra=None, timeout=20):
    """Sends a signed request by hand; gives status, headers and document."""
    parts = urllib.parse.urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    target = path or (parts.path + (f"?{parts.query}" if parts.query else ""))
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    headers = {name: value for name, value in request.headers.items()}
    headers.update(extra or {})
    headers.setdefault("Content-Length", str(len(data)))
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders()
    if data:
        connection.send(data)
    response = connection.getresponse()
    text = response.read().decode(errors="replace")
    connection.close()
    return response.status, dict(response.getheaders()), text


def code_of(text):
    assert "<Code>" in text, f"no error's document: {text!r}"
    return text.split("<Code>", 1)[1].split("</Code>", 1)[0]


def main():
    wanted = sys.argv[1:]
    failed = 0
    for run in CASES:
        if wanted and run.__name__ not in wanted:
            continue
        try:
            run()
        except Exception:  # every case is run, whatever the one before did
            failed += 1
            print(f"--- {os.path.basename(sys.argv[0])}: {run.__name__}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(CASES) - failed} of {len(CASES)} cases of {os.path.basename(sys.argv[0])} hold")
    sys.exit(1 if failed else 0)
