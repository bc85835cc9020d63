"""The likeliest errors of every operation that works, by code: somebody else's bucket, no such bucket, key or upload, a key that
nobody has, a wrong secret.

Each row is an operation, what it is asked with, and what of that can be wrong in a way of its own. A test of the gateway's holds
the rows against its table of operations.
"""

from common import bucket, case, client, main, put, refused, s3

B = bucket("refusals")
put(B, "k")
UPLOAD = s3.create_multipart_upload(Bucket=B, Key="up")["UploadId"]
NO_BUCKET = "no-such-bucket-here"
TAGS = {"TagSet": [{"Key": "a", "Value": "b"}]}
OF_B = {"Bucket": B}
OF_KEY = {"Bucket": B, "Key": "k"}
OF_UPLOAD = {"Bucket": B, "Key": "up", "UploadId": UPLOAD}
NO_KEY = {"NoSuchKey": {"Key": "none"}}
NO_VERSION = {"NoSuchVersion": {"VersionId": "0000000000000001"}}
NO_UPLOAD = {"NoSuchUpload": {"UploadId": "none"}}
COPY = {"Bucket": B, "Key": "k"}

ROWS = {
    "ListBuckets": ({}, {}),
    "CreateBucket": ({"Bucket": "refusals-new"}, {"BucketAlreadyOwnedByYou": {"Bucket": B}}),
    "HeadBucket": (OF_B, {}),
    "DeleteBucket": (OF_B, {"BucketNotEmpty": {}}),
    "GetBucketLocation": (OF_B, {}),
    "GetBucketAcl": (OF_B, {}),
    "PutBucketAcl": (OF_B | {"ACL": "private"}, {"AccessControlListNotSupported": {"ACL": "public-read"}}),
    "GetObjectAcl": (OF_KEY, NO_KEY),
    "PutObjectAcl": (OF_KEY | {"ACL": "private"}, {"AccessControlListNotSupported": {"ACL": "public-read"}}),
    "GetBucketOwnershipControls": (OF_B, {}),
    "PutBucketOwnershipControls": (
        OF_B | {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
        {"NotImplemented": {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}}},
    ),
    "ListObjects": (OF_B, {"InvalidArgument": {"MaxKeys": -1}}),
    "ListObjectsV2": (OF_B, {"InvalidArgument": {"MaxKeys": -1}}),
    "PutObject": (OF_KEY | {"Body": b"x"}, {"InvalidDigest": {"ContentMD5": "x"}, "KeyTooLongError": {"Key": "x" * 1025}}),
    "GetObject": (OF_KEY, NO_KEY | NO_VERSION),
    "HeadObject": (OF_KEY, NO_KEY),
    "CopyObject": (OF_KEY | {"CopySource": COPY}, {"NoSuchKey": {"CopySource": COPY | {"Key": "none"}}}),
    "DeleteObject": (OF_KEY, {"PreconditionFailed": {"IfMatch": "0" * 32}}),
    "DeleteObjects": (OF_B | {"Delete": {"Objects": [{"Key": "k"}]}}, {"MalformedXML": {"Delete": {"Objects": []}}}),
    "CreateMultipartUpload": (OF_KEY, {"InvalidStorageClass": {"StorageClass": "OUTPOSTS"}}),
    "UploadPart": (OF_UPLOAD | {"PartNumber": 1, "Body": b"x"}, NO_UPLOAD | {"InvalidArgument": {"PartNumber": 10001}}),
    "UploadPartCopy": (
        OF_UPLOAD | {"PartNumber": 1, "CopySource": COPY},
        NO_UPLOAD | {"NoSuchKey": {"CopySource": COPY | {"Key": "none"}}},
    ),
    "CompleteMultipartUpload": (
        OF_UPLOAD | {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "none"}]}},
        NO_UPLOAD | {"InvalidPart": {}, "MalformedXML": {"MultipartUpload": {"Parts": []}}},
    ),
    "AbortMultipartUpload": (OF_UPLOAD, NO_UPLOAD),
    "ListParts": (OF_UPLOAD, NO_UPLOAD),
    "ListMultipartUploads": (OF_B, {"InvalidArgument": {"MaxUploads": -1}}),
    "GetObjectTagging": (OF_KEY, NO_KEY),
    "PutObjectTagging": (OF_KEY | {"Tagging": TAGS}, NO_KEY | {"InvalidTag": {"Tagging": {"TagSet": TAGS["TagSet"] * 2}}}),
    "DeleteObjectTagging": (OF_KEY, NO_KEY),
    "GetBucketTagging": (OF_B, {"NoSuchTagSet": {}}),
    "PutBucketTagging": (OF_B | {"Tagging": TAGS}, {"InvalidTag": {"Tagging": {"TagSet": TAGS["TagSet"] * 2}}}),
    "DeleteBucketTagging": (OF_B, {}),
    "GetBucketVersioning": (OF_B, {}),
    "PutBucketVersioning": (
        OF_B | {"VersioningConfiguration": {"Status": "Enabled"}},
        {"IllegalVersioningConfigurationException": {"VersioningConfiguration": {}}},
    ),
    "ListObjectVersions": (OF_B, {"InvalidArgument": {"VersionIdMarker": "x"}}),
}


def named(operation):
    """What boto3 calls an operation."""
    return next(name for name, api in s3.meta.method_to_api_mapping.items() if api == operation)


def calls(operation, asked, own):
    """The wrong calls of an operation: whose client, with what, and the code."""
    yield client(key="nobody"), asked, "InvalidAccessKeyId"
    yield client(secret="wrong"), asked, "SignatureDoesNotMatch"
    if operation == "ListBuckets":
        # Where a bucket is named boto3 reads the region from the refusal, and asks again.
        yield client(region="eu-west-9"), asked, "AuthorizationHeaderMalformed"
    elif operation != "CreateBucket":
        yield s3, asked | {"Bucket": NO_BUCKET}, "NoSuchBucket"
        yield s3, asked | {"ExpectedBucketOwner": "somebody-else"}, "AccessDenied"
    for code, wrong in own.items():
        yield s3, asked | wrong, code


# HEAD has no document: there the status stands for the code.
STATUS = {"NoSuchBucket": 404, "NoSuchKey": 404}


@case
def every_operation_is_refused_by_code():
    wrong = []
    for operation, (asked, own) in ROWS.items():
        for by, arguments, code in calls(operation, asked, own):
            try:
                with refused(STATUS.get(code, 403) if operation.startswith("Head") else code):
                    getattr(by, named(operation))(**arguments)
            except Exception as error:  # each row is tried, whatever the one before did
                wrong.append(f"{operation}, {code}: {error}")
    assert not wrong, "\n".join(wrong)


main()
