"""Listing objects: both forms, delimiters, pages, spellings."""

import base64

from common import bucket, case, client, main, put, refused, s3

B = bucket("listing")
NAMES = sorted(["a", "b/1", "b/2", "b/c/3", "d", "e/4", "f g", "ü"], key=lambda name: name.encode())
for name in NAMES:
    put(B, name, name.encode())


def walk(form, **more):
    """Keys and prefixes of all pages, in order."""
    call = s3.list_objects_v2 if form == 2 else s3.list_objects
    keys, prefixes, pages = [], [], 0
    while True:
        page = call(Bucket=B, **more)
        pages += 1
        keys += [found["Key"] for found in page.get("Contents", [])]
        prefixes += [found["Prefix"] for found in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            return keys, prefixes, pages
        if form == 2:
            more["ContinuationToken"] = page["NextContinuationToken"]
        else:
            more["Marker"] = page.get("NextMarker") or page["Contents"][-1]["Key"]


@case
def both_forms_list_in_order():
    for form in [1, 2]:
        assert walk(form)[:2] == (NAMES, []), form
        assert walk(form, Prefix="b/")[0] == ["b/1", "b/2", "b/c/3"]
        keys, prefixes, _ = walk(form, Delimiter="/")
        assert keys == ["a", "d", "f g", "ü"] and prefixes == ["b/", "e/"], (keys, prefixes)
        keys, prefixes, _ = walk(form, Delimiter="/", Prefix="b/")
        assert keys == ["b/1", "b/2"] and prefixes == ["b/c/"]


@case
def pages_join_to_the_whole():
    for form in [1, 2]:
        for size in [1, 2, 3]:
            keys, _, pages = walk(form, MaxKeys=size)
            assert keys == NAMES and pages == -(-len(NAMES) // size), (form, size, keys, pages)
            keys, prefixes, _ = walk(form, MaxKeys=size, Delimiter="/")
            assert keys == ["a", "d", "f g", "ü"] and prefixes == ["b/", "e/"], (form, size, keys, prefixes)


@case
def many_keys_behind_one_prefix_are_one_prefix():
    name = bucket("wide")
    for n in range(12):
        put(name, f"p{n % 3}/{n}", b"")
    page = s3.list_objects_v2(Bucket=name, Delimiter="/", MaxKeys=2)
    assert [found["Prefix"] for found in page["CommonPrefixes"]] == ["p0/", "p1/"] and page["IsTruncated"]
    rest = s3.list_objects_v2(Bucket=name, Delimiter="/", ContinuationToken=page["NextContinuationToken"])
    assert [found["Prefix"] for found in rest["CommonPrefixes"]] == ["p2/"] and not rest["IsTruncated"]


@case
def what_is_listed_says_what_it_is():
    entry = s3.list_objects_v2(Bucket=B, Prefix="b/1", FetchOwner=True)["Contents"][0]
    head = s3.head_object(Bucket=B, Key="b/1")
    assert (entry["Size"], entry["ETag"], entry["StorageClass"]) == (3, head["ETag"], "STANDARD" if "StorageClass" in entry else None) or entry["Size"] == 3
    assert entry["ETag"] == head["ETag"] and entry["Owner"]["ID"]
    assert abs((entry["LastModified"] - head["LastModified"]).total_seconds()) < 1
    assert "Owner" not in s3.list_objects_v2(Bucket=B, Prefix="b/1")["Contents"][0]


@case
def a_start_may_be_anywhere():
    keys = lambda **more: [found["Key"] for found in s3.list_objects_v2(Bucket=B, **more).get("Contents", [])]
    assert keys(StartAfter="b/1") == NAMES[2:]
    assert keys(StartAfter="b/15") == NAMES[2:]
    assert keys(StartAfter="zzzz") == ["ü"] and keys(StartAfter="ü") == []
    none = s3.list_objects_v2(Bucket=B, MaxKeys=0)
    assert (none["KeyCount"], none["IsTruncated"]) == (0, False)


@case
def listings_are_refused_by_code():
    with refused("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket="no-such-bucket-here")
    with refused("NoSuchBucket", 404):
        s3.list_objects(Bucket="no-such-bucket-here")
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=B, ContinuationToken="nonsense")
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=B, MaxKeys=-1)
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=B, EncodingType="other")
    with refused("AccessDenied", 403):
        s3.list_objects_v2(Bucket=B, ExpectedBucketOwner="somebody-else")


main()
