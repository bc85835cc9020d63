"""Buckets: create, head, list, delete; where they are, whose they are."""

from common import bucket, case, client, main, put, refused, s3

from common import REGION


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


@case
def what_is_not_there_says_so_by_name():
    name = bucket()
    for call, arguments in {
        "get_bucket_cors": {},
        "get_bucket_policy": {},
        "get_bucket_lifecycle_configuration": {},
        "get_bucket_encryption": {},
        "get_bucket_logging": {},
        "get_bucket_notification_configuration": {},
        "get_bucket_website": {},
        "get_bucket_replication": {},
        "get_object_lock_configuration": {},
        "get_bucket_request_payment": {},
        "get_bucket_accelerate_configuration": {},
        "delete_bucket_cors": {},
        "delete_bucket_policy": {},
    }.items():
        try:
            getattr(s3, call)(Bucket=name, **arguments)
        except s3.exceptions.ClientError as error:
            found = error.response["Error"]
            operation = "".join(word.capitalize() for word in call.split("_"))
            assert found["Code"] == "NotImplemented", (call, found)
            assert operation in found["Message"], (call, found)
        else:
            raise AssertionError(f"{call} succeeded silently")


main()
