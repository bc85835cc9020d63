"""Buckets: create, head, list, delete; where they are, whose they are."""

import pathlib

from common import REGION, bucket, case, client, code_of, main, put, refused, s3, send, signed


@case
def a_bucket_comes_and_goes():
    name = bucket()
    assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == REGION
    assert name in [found["Name"] for found in s3.list_buckets()["Buckets"]]
    s3.delete_bucket(Bucket=name)
    with refused(404):
        s3.head_bucket(Bucket=name)


@case
def create_is_refused_by_code():
    name = bucket()
    with refused("BucketAlreadyOwnedByYou", 409):
        s3.create_bucket(Bucket=name)
    with refused("InvalidLocationConstraint", 400):
        s3.create_bucket(Bucket=name + "x", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    with refused("NotImplemented", 501):
        s3.create_bucket(Bucket=name + "y", ObjectLockEnabledForBucket=True)
    with refused("AccessControlListNotSupported", 400):
        s3.create_bucket(Bucket=name + "z", ACL="public-read")
    unchecked = client(parameter_validation=False)
    with refused("InvalidBucketName", 400):
        unchecked.create_bucket(Bucket="UPPER_case")


@case
def delete_is_refused_by_code():
    name = bucket()
    put(name, "k")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=name)
    with refused("NoSuchBucket", 404):
        s3.delete_bucket(Bucket="no-such-bucket-here")
    with refused("AccessDenied", 403):
        s3.delete_bucket(Bucket=name, ExpectedBucketOwner="somebody-else")


@case
def buckets_are_listed_in_pages():
    names = sorted(bucket("paged") for _ in range(5))
    found, token = [], {}
    while True:
        page = s3.list_buckets(Prefix="paged-", MaxBuckets=2, **token)
        assert len(page["Buckets"]) <= 2
        found += [each["Name"] for each in page["Buckets"]]
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    assert found == names, (found, names)


@case
def a_bucket_says_where_it_is_and_who_owns_what():
    name = bucket()
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    rules = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    s3.put_bucket_ownership_controls(
        Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    with refused("NotImplemented", 501):
        s3.put_bucket_ownership_controls(
            Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        )
    acl = s3.get_bucket_acl(Bucket=name)
    assert [grant["Permission"] for grant in acl["Grants"]] == ["FULL_CONTROL"]
    s3.put_bucket_acl(Bucket=name, ACL="private")
    with refused("AccessControlListNotSupported", 400):
        s3.put_bucket_acl(Bucket=name, ACL="public-read")
    put(name, "k")
    assert s3.get_object_acl(Bucket=name, Key="k")["Owner"]["ID"] == acl["Owner"]["ID"]
    with refused("AccessControlListNotSupported", 400):
        s3.put_object_acl(Bucket=name, Key="k", ACL="public-read")
    with refused("NoSuchKey", 404):
        s3.get_object_acl(Bucket=name, Key="none")
    with refused("NoSuchBucket", 404):
        s3.get_bucket_acl(Bucket="no-such-bucket-here")
    with refused("NoSuchBucket", 404):
        s3.get_bucket_location(Bucket="no-such-bucket-here")


def page():
    """The page of operations: name and answer."""
    path = pathlib.Path(__file__).parent / "../../docs/s3-operations.md"
    rows = [line.split(" | ", 1) for line in path.read_text().splitlines() if line.startswith("| ")]
    return {name.lstrip("| "): answer.rstrip(" |") for name, answer in rows}


@case
def what_is_not_there_says_so_by_name():
    name = bucket()
    put(name, "k")
    answers = page()
    model = s3.meta.service_model
    asked = 0
    for operation in model.operation_names:
        if answers.get(operation, "").startswith("works"):
            continue
        shape = model.operation_model(operation)
        path, _, query = shape.http["requestUri"].partition("?")
        path = path.replace("{Bucket}", name).replace("{Key+}", "k")
        words = [word for word in query.split("&") if word]
        members = shape.input_shape.members if shape.input_shape else {}
        headers = {}
        required = shape.input_shape.required_members if shape.input_shape else []
        for member in required:
            where = members[member].serialization
            if where.get("location") == "querystring":
                words.append(f"{where['name']}=1")
            if where.get("location") == "header":
                headers[where["name"]] = "ETag"
        query = "&".join(word if "=" in word else f"{word}=" for word in words if not word.startswith("x-id"))
        method = shape.http["method"]
        if operation in ("ListDirectoryBuckets", "WriteGetObjectResponse"):
            continue  # no bucket of ours is asked: the one has another host, the other another service
        status, _, text = send(signed(method, path, query=query, headers=headers))
        asked += 1
        assert status >= 400, f"{operation} ({method} {path}?{query}) succeeded silently"
        if method in ("GET", "DELETE"):
            assert status == 501 and code_of(text) == "NotImplemented", (operation, status, text)
    assert asked > 40, asked
    with refused("NotImplemented", 501):
        s3.get_bucket_cors(Bucket=name)
    assert "Contents" in s3.list_objects_v2(Bucket=name) and s3.head_object(Bucket=name, Key="k")


main()
