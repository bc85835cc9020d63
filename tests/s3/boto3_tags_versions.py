"""Tags of objects and buckets; versions: written over, deleted, listed, restored, suspended."""

from common import body, bucket, case, main, put, refused, s3

B = bucket("tags")


def tag_set(**tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


@case
def objects_are_tagged():
    put(B, "k", b"x", Tagging="a=1&b=two%20words")
    found = s3.get_object_tagging(Bucket=B, Key="k")["TagSet"]
    assert found == tag_set(a="1", b="two words")["TagSet"], found
    assert s3.get_object(Bucket=B, Key="k")["TagCount"] == 2
    s3.put_object_tagging(Bucket=B, Key="k", Tagging=tag_set(c="3"))
    assert s3.get_object_tagging(Bucket=B, Key="k")["TagSet"] == tag_set(c="3")["TagSet"]
    s3.copy_object(Bucket=B, Key="copy", CopySource=f"{B}/k")
    assert s3.get_object_tagging(Bucket=B, Key="copy")["TagSet"] == tag_set(c="3")["TagSet"]
    s3.copy_object(Bucket=B, Key="copy", CopySource=f"{B}/k", TaggingDirective="REPLACE", Tagging="d=4")
    assert s3.get_object_tagging(Bucket=B, Key="copy")["TagSet"] == tag_set(d="4")["TagSet"]
    s3.delete_object_tagging(Bucket=B, Key="k")
    assert s3.get_object_tagging(Bucket=B, Key="k")["TagSet"] == []
    assert body(B, "k") == b"x"


@case
def tags_are_refused_by_code():
    put(B, "refused")
    with refused("NoSuchKey", 404):
        s3.get_object_tagging(Bucket=B, Key="none")
    with refused("BadRequest", 400):
        s3.put_object_tagging(Bucket=B, Key="refused", Tagging=tag_set(**{str(n): "" for n in range(11)}))
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=B, Key="refused", Tagging=tag_set(**{"x" * 129: ""}))
    twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=B, Key="refused", Tagging=twice)
    with refused("InvalidArgument", 400):
        put(B, "refused", b"", Tagging="a=1&a=2")
    with refused("NoSuchKey", 404):
        s3.put_object_tagging(Bucket=B, Key="none", Tagging=tag_set(a="1"))
    with refused("NoSuchKey", 404):
        s3.delete_object_tagging(Bucket=B, Key="none")


@case
def buckets_are_tagged():
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=B)
    s3.put_bucket_tagging(Bucket=B, Tagging=tag_set(a="1", b="2"))
    assert s3.get_bucket_tagging(Bucket=B)["TagSet"] == tag_set(a="1", b="2")["TagSet"]
    s3.delete_bucket_tagging(Bucket=B)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=B)
    with refused("NoSuchBucket", 404):
        s3.put_bucket_tagging(Bucket="no-such-bucket-here", Tagging=tag_set(a="1"))
    with refused("NoSuchBucket", 404):
        s3.get_bucket_tagging(Bucket="no-such-bucket-here")


def versioned(name="versions"):
    made = bucket(name)
    s3.put_bucket_versioning(Bucket=made, VersioningConfiguration={"Status": "Enabled"})
    return made


def versions(name, **more):
    page = s3.list_object_versions(Bucket=name, **more)
    return (
        [(each["Key"], each["VersionId"], each["IsLatest"]) for each in page.get("Versions", [])],
        [(each["Key"], each["VersionId"], each["IsLatest"]) for each in page.get("DeleteMarkers", [])],
    )


@case
def a_bucket_says_whether_it_keeps_versions():
    name = bucket()
    assert "Status" not in s3.get_bucket_versioning(Bucket=name)
    for status in ["Enabled", "Suspended", "Enabled"]:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == status
    with refused("NoSuchBucket", 404):
        s3.get_bucket_versioning(Bucket="no-such-bucket-here")
    with refused("NoSuchBucket", 404):
        s3.put_bucket_versioning(Bucket="no-such-bucket-here", VersioningConfiguration={"Status": "Enabled"})
    with refused("IllegalVersioningConfigurationException", 400):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={})


@case
def what_is_written_over_is_kept():
    name = versioned()
    first = put(name, "k", b"one", Metadata={"n": "1"})["VersionId"]
    second = put(name, "k", b"two")["VersionId"]
    assert first != second and body(name, "k") == b"two"
    assert s3.head_object(Bucket=name, Key="k")["VersionId"] == second
    old = s3.get_object(Bucket=name, Key="k", VersionId=first)
    assert (old["Body"].read(), old["VersionId"], old["Metadata"]) == (b"one", first, {"n": "1"})
    assert body(name, "k", VersionId=first, Range="bytes=1-1") == b"n"
    assert versions(name)[0] == [("k", second, True), ("k", first, False)]
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=name, Key="k", VersionId="0000000000000001")
    with refused("InvalidArgument", 400):
        s3.get_object(Bucket=name, Key="k", VersionId="nonsense")


@case
def a_deleted_object_is_restored():
    name = versioned()
    kept = put(name, "k", b"kept")["VersionId"]
    gone = s3.delete_object(Bucket=name, Key="k")
    assert gone["DeleteMarker"] and gone["VersionId"] != kept
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=name, Key="k")
    assert "Contents" not in s3.list_objects_v2(Bucket=name)
    assert versions(name) == ([("k", kept, False)], [("k", gone["VersionId"], True)])
    with refused("MethodNotAllowed", 405):
        s3.get_object(Bucket=name, Key="k", VersionId=gone["VersionId"])
    undone = s3.delete_object(Bucket=name, Key="k", VersionId=gone["VersionId"])
    assert undone["DeleteMarker"] and undone["VersionId"] == gone["VersionId"]
    assert body(name, "k") == b"kept"
    put(name, "k", b"newer")
    s3.copy_object(Bucket=name, Key="k", CopySource={"Bucket": name, "Key": "k", "VersionId": kept})
    assert body(name, "k") == b"kept"
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=name)
    for key, version, _ in sum(versions(name), []):
        s3.delete_object(Bucket=name, Key=key, VersionId=version)
    s3.delete_bucket(Bucket=name)


@case
def a_key_that_is_not_there_gets_a_delete_marker():
    name = versioned()
    gone = s3.delete_object(Bucket=name, Key="none")
    assert gone["DeleteMarker"] and versions(name) == ([], [("none", gone["VersionId"], True)])
    answer = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "nor this"}]})["Deleted"]
    assert answer[0]["DeleteMarker"] and len(versions(name)[1]) == 2
    plain = bucket()
    assert "DeleteMarker" not in s3.delete_object(Bucket=plain, Key="none")


@case
def suspended_versioning_keeps_what_is_there():
    name = bucket()
    put(name, "k", b"before")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    second = put(name, "k", b"second")["VersionId"]
    assert body(name, "k", VersionId="null") == b"before"
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    assert put(name, "k", b"third")["VersionId"] == "null"
    assert body(name, "k", VersionId="null") == b"third" and body(name, "k", VersionId=second) == b"second"
    assert [each[1] for each in versions(name)[0]] == ["null", second]


@case
def versions_are_listed_in_pages_and_prefixes():
    name = versioned()
    made = [(key, put(name, key, key.encode())["VersionId"]) for key in ["a", "a", "b/1", "b/2", "b/1", "c"]]
    found, more = [], {}
    while True:
        page = s3.list_object_versions(Bucket=name, MaxKeys=2, **more)
        found += [(each["Key"], each["VersionId"]) for each in page.get("Versions", [])]
        if not page["IsTruncated"]:
            break
        more = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    assert sorted(found) == sorted(made) and [key for key, _ in found] == sorted(key for key, _ in made)
    page = s3.list_object_versions(Bucket=name, Delimiter="/")
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["b/"] and len(page["Versions"]) == 3
    answer = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a"}, {"Key": "c", "VersionId": made[5][1]}]})
    done = {each["Key"]: each for each in answer["Deleted"]}
    assert done["a"]["DeleteMarker"] and done["a"]["DeleteMarkerVersionId"] and done["c"]["VersionId"] == made[5][1]
    with refused("NoSuchBucket", 404):
        s3.list_object_versions(Bucket="no-such-bucket-here")
    with refused("InvalidArgument", 400):
        s3.list_object_versions(Bucket=name, VersionIdMarker="x")


@case
def tags_belong_to_a_version():
    name = versioned()
    first = put(name, "k", b"1", Tagging="n=1")["VersionId"]
    put(name, "k", b"2", Tagging="n=2")
    assert s3.get_object_tagging(Bucket=name, Key="k", VersionId=first)["TagSet"] == tag_set(n="1")["TagSet"]
    s3.put_object_tagging(Bucket=name, Key="k", VersionId=first, Tagging=tag_set(n="3"))
    assert s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == tag_set(n="2")["TagSet"]
    assert s3.get_object_tagging(Bucket=name, Key="k", VersionId=first)["TagSet"] == tag_set(n="3")["TagSet"]


main()
