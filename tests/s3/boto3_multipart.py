"""Multipart uploads: parts in any order and size, copies of parts, gaps, lists; and what is refused of them, by code."""

import base64
import hashlib
import zlib

from common import body, bucket, case, code_of, main, pattern, put, refused, s3, send, signed

B = bucket("multipart")
MIN = 5 << 20


def begin(key, **more):
    return s3.create_multipart_upload(Bucket=B, Key=key, **more)["UploadId"]


def part(key, upload, number, data, **more):
    answer = s3.upload_part(Bucket=B, Key=key, UploadId=upload, PartNumber=number, Body=data, **more)
    return {"PartNumber": number, "ETag": answer["ETag"]}


def complete(key, upload, parts, **more):
    return s3.complete_multipart_upload(
        Bucket=B, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **more
    )


def etag_of(datas):
    joined = b"".join(hashlib.md5(data).digest() for data in datas)
    return f'"{hashlib.md5(joined).hexdigest()}-{len(datas)}"'


@case
def parts_become_an_object():
    datas = [pattern(MIN, 1), pattern(MIN + 3, 2), pattern(7, 3)]
    upload = begin("whole", ContentType="text/x", Metadata={"a": "1"}, Tagging="t=1")
    parts = [part("whole", upload, number, data) for number, data in zip([5, 1, 9], datas)]
    with refused(404):
        s3.head_object(Bucket=B, Key="whole")
    ordered = sorted(parts, key=lambda each: each["PartNumber"])
    datas = [datas[1], datas[0], datas[2]]
    answer = complete("whole", upload, ordered)
    assert answer["ETag"] == etag_of(datas), (answer["ETag"], etag_of(datas))
    whole = b"".join(datas)
    assert body(B, "whole") == whole
    head = s3.head_object(Bucket=B, Key="whole")
    assert (head["ETag"], head["ContentType"], head["Metadata"]) == (answer["ETag"], "text/x", {"a": "1"})
    assert s3.get_object_tagging(Bucket=B, Key="whole")["TagSet"] == [{"Key": "t", "Value": "1"}]
    second = s3.get_object(Bucket=B, Key="whole", PartNumber=2)
    assert (second["PartsCount"], second["Body"].read()) == (3, datas[1])
    assert body(B, "whole", Range=f"bytes={MIN - 5}-{MIN + 5}") == whole[MIN - 5 : MIN + 6]
    with refused("416", 416):
        s3.head_object(Bucket=B, Key="whole", PartNumber=4)
    listed = s3.list_objects_v2(Bucket=B, Prefix="whole")["Contents"][0]
    assert (listed["ETag"], listed["Size"]) == (answer["ETag"], len(whole))


@case
def only_listed_parts_count():
    upload = begin("some")
    parts = [part("some", upload, number, pattern(MIN, number)) for number in [1, 2, 3]]
    answer = complete("some", upload, [parts[0], parts[2]])
    assert answer["ETag"] == etag_of([pattern(MIN, 1), pattern(MIN, 3)])
    assert body(B, "some") == pattern(MIN, 1) + pattern(MIN, 3)
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=B, Key="some", UploadId=upload)


@case
def a_part_can_be_sent_again():
    upload = begin("again")
    old = part("again", upload, 1, b"old")
    new = part("again", upload, 1, b"new")
    with refused("InvalidPart", 400):
        complete("again", upload, [old])
    complete("again", upload, [new])
    assert body(B, "again") == b"new"


@case
def completion_is_refused_by_code():
    upload = begin("refused")
    first = part("refused", upload, 1, b"small")
    second = part("refused", upload, 2, b"small")
    with refused("EntityTooSmall", 400):
        complete("refused", upload, [first, second])
    with refused("InvalidPartOrder", 400):
        complete("refused", upload, [second, first])
    with refused("InvalidPart", 400):
        complete("refused", upload, [first, {"PartNumber": 7, "ETag": first["ETag"]}])
    with refused("NoSuchUpload", 404):
        complete("refused", "no-such-upload", [first])
    with refused("MalformedXML", 400):
        s3.complete_multipart_upload(Bucket=B, Key="refused", UploadId=upload, MultipartUpload={"Parts": []})
    with refused("MalformedXML", 400):
        complete("refused", upload, [{"PartNumber": n, "ETag": first["ETag"]} for n in range(1, 10_002)])
    with refused("InvalidRequest", 400):
        complete("refused", upload, [first], MpuObjectSize=6)
    put(B, "refused", b"there")
    with refused("PreconditionFailed", 412):
        complete("refused", upload, [first], IfNoneMatch="*")
    assert body(B, "refused") == b"there"
    complete("refused", upload, [first], IfMatch=s3.head_object(Bucket=B, Key="refused")["ETag"])
    assert body(B, "refused") == b"small"


@case
def parts_are_refused_by_code():
    upload = begin("parts")
    for number in [0, 10_001, -1]:
        with refused("InvalidArgument", 400):
            part("parts", upload, number, b"x")
    with refused("NoSuchUpload", 404):
        part("parts", "no-such-upload", 1, b"x")
    md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with refused("BadDigest", 400):
        part("parts", upload, 1, b"x", ContentMD5=md5)
    with refused("BadDigest", 400):
        part("parts", upload, 1, b"x", ChecksumCRC32="AAAAAA==")
    assert "Parts" not in s3.list_parts(Bucket=B, Key="parts", UploadId=upload)
    part("parts", upload, 10_000, b"x")


@case
def parts_are_copied():
    data = pattern(MIN + 100)
    put(B, "source", data)
    upload = begin("copied")
    copy = lambda number, **more: s3.upload_part_copy(
        Bucket=B, Key="copied", UploadId=upload, PartNumber=number, CopySource=f"{B}/source", **more
    )["CopyPartResult"]
    first = copy(1, CopySourceRange=f"bytes=0-{MIN - 1}")
    second = copy(2, CopySourceRange=f"bytes={MIN}-{MIN + 99}")
    assert first["ETag"] == f'"{hashlib.md5(data[:MIN]).hexdigest()}"'
    with refused("InvalidArgument", 400):
        copy(3, CopySourceRange=f"bytes=0-{MIN + 100}")
    with refused("PreconditionFailed", 412):
        copy(3, CopySourceIfMatch='"other"')
    with refused("NoSuchKey", 404):
        s3.upload_part_copy(Bucket=B, Key="copied", UploadId=upload, PartNumber=3, CopySource=f"{B}/none")
    complete("copied", upload, [{"PartNumber": n, "ETag": each["ETag"]} for n, each in [(1, first), (2, second)]])
    assert body(B, "copied") == data


@case
def parts_and_uploads_are_listed_in_pages():
    name = bucket("uploads")
    ids = [s3.create_multipart_upload(Bucket=name, Key=key)["UploadId"] for key in ["a", "a", "b", "c/d"]]
    found, more = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=name, MaxUploads=2, **more)
        found += [(each["Key"], each["UploadId"]) for each in page.get("Uploads", [])]
        if not page["IsTruncated"]:
            break
        more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert sorted(found) == sorted(zip(["a", "a", "b", "c/d"], ids))
    assert len(s3.list_multipart_uploads(Bucket=name, Prefix="c/")["Uploads"]) == 1
    rolled = s3.list_multipart_uploads(Bucket=name, Delimiter="/", MaxUploads=3)
    assert [each["Key"] for each in rolled["Uploads"]] == ["a", "a", "b"] and rolled["IsTruncated"]
    markers = {"KeyMarker": rolled["NextKeyMarker"], "UploadIdMarker": rolled["NextUploadIdMarker"]}
    rest = s3.list_multipart_uploads(Bucket=name, Delimiter="/", **markers)
    assert [each["Prefix"] for each in rest["CommonPrefixes"]] == ["c/"] and "Uploads" not in rest
    for number in [1, 2, 4]:
        s3.upload_part(Bucket=name, Key="b", UploadId=ids[2], PartNumber=number, Body=b"x" * number)
    first = s3.list_parts(Bucket=name, Key="b", UploadId=ids[2], MaxParts=2)
    assert [each["PartNumber"] for each in first["Parts"]] == [1, 2] and first["IsTruncated"]
    rest = s3.list_parts(Bucket=name, Key="b", UploadId=ids[2], PartNumberMarker=first["NextPartNumberMarker"])
    assert [(each["PartNumber"], each["Size"]) for each in rest["Parts"]] == [(4, 4)] and not rest["IsTruncated"]
    assert first["Parts"][0]["ETag"] == f'"{hashlib.md5(b"x").hexdigest()}"'
    s3.abort_multipart_upload(Bucket=name, Key="b", UploadId=ids[2])
    with refused("NoSuchUpload", 404):
        s3.abort_multipart_upload(Bucket=name, Key="b", UploadId=ids[2])
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=name, Key="b", UploadId=ids[2])
    with refused("NoSuchBucket", 404):
        s3.list_multipart_uploads(Bucket="no-such-bucket-here")
    with refused("NoSuchBucket", 404):
        s3.create_multipart_upload(Bucket="no-such-bucket-here", Key="k")


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@case
def checksums_of_parts_make_the_objects():
    datas = [pattern(MIN, 1), b"end"]
    upload = begin("sum", ChecksumAlgorithm="CRC32")
    parts = []
    for number, data in enumerate(datas, 1):
        answer = s3.upload_part(
            Bucket=B, Key="sum", UploadId=upload, PartNumber=number, Body=data, ChecksumAlgorithm="CRC32"
        )
        assert answer["ChecksumCRC32"] == crc32(data)
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]})
    listed = s3.list_parts(Bucket=B, Key="sum", UploadId=upload)["Parts"]
    assert [each["ChecksumCRC32"] for each in listed] == [crc32(data) for data in datas]
    wrong = [dict(parts[0], ChecksumCRC32=crc32(b"other")), parts[1]]
    with refused("InvalidPart", 400):
        complete("sum", upload, wrong)
    answer = complete("sum", upload, parts)
    raw = b"".join(zlib.crc32(data).to_bytes(4, "big") for data in datas)
    assert (answer["ChecksumCRC32"], answer["ChecksumType"]) == (crc32(raw) + "-2", "COMPOSITE"), answer
    head = s3.head_object(Bucket=B, Key="sum", ChecksumMode="ENABLED")
    assert head["ChecksumCRC32"] == crc32(raw) + "-2"
    upload = begin("sum2", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = [part("sum2", upload, number, data, ChecksumAlgorithm="CRC32") for number, data in enumerate(datas, 1)]
    with refused("BadDigest", 400):
        complete("sum2", upload, parts, ChecksumType="FULL_OBJECT", ChecksumCRC32=crc32(b"other"))
    answer = complete("sum2", upload, parts, ChecksumType="FULL_OBJECT", ChecksumCRC32=crc32(b"".join(datas)))
    assert (answer["ChecksumCRC32"], answer["ChecksumType"]) == (crc32(b"".join(datas)), "FULL_OBJECT")


@case
def a_part_without_a_number_is_no_part():
    status, _, text = send(signed("PUT", f"/{B}/odd", query="partNumber=x&uploadId=y", data=b"x"), b"x")
    assert status == 400 and code_of(text) == "InvalidArgument", text


main()
