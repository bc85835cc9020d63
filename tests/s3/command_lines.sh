#!/bin/sh
# The command lines that people use, as they use them: aws CLI, s3cmd, rclone, and curl with a presigned URL.
set -eu
endpoint=$AWS_ENDPOINT_URL
host=${endpoint#http://}
# Nothing here is encrypted; rclone does not start with a bundle of certificates that it cannot use.
unset AWS_CA_BUNDLE
MIB=${S3_LARGE_MIB:-256}

say() { printf '%s\n' "-- $*"; }
same() { cmp -s "$1" "$2" || { echo "$1 and $2 differ"; exit 1; }; }

# Its older line presigns with Version 2 where nobody says otherwise.
aws configure set default.s3.signature_version s3v4
say "aws: a bucket, a folder there and back"
aws s3 mb s3://folder
mkdir -p in/a/b
for n in 1 2 3 4 5; do head -c $((n * 70000)) /dev/urandom >"in/a/$n"; done
echo "odd" >"in/a/b/with space +%.txt"
: >in/empty
aws s3 sync in s3://folder/in --no-progress
aws s3 sync s3://folder/in out --no-progress
diff -r in out
rm in/a/3
echo changed >in/a/1
aws s3 sync in s3://folder/in --delete --no-progress | sort
aws s3 sync s3://folder/in out --delete --no-progress >/dev/null
diff -r in out
[ "$(aws s3 ls --recursive s3://folder/ | wc -l)" = 6 ]

say "aws: $MIB MiB in parts, read in ranges side by side"
head -c $((MIB << 20)) /dev/urandom >large
aws s3 cp large s3://folder/large --no-progress
aws s3 cp s3://folder/large large.out --no-progress
same large large.out
rm large.out
aws s3 cp s3://folder/large s3://folder/large.copy --no-progress
[ "$(aws s3api head-object --bucket folder --key large.copy --query ContentLength)" = $((MIB << 20)) ]
quarter=$((MIB * 262144))
for n in 0 1 2 3; do
    aws s3api get-object --bucket folder --key large --range "bytes=$((n * quarter))-$(((n + 1) * quarter - 1))" "part$n" \
        >/dev/null &
done
wait
cat part0 part1 part2 part3 >large.out
same large large.out
rm -f part? large.out

say "aws: a presigned URL and curl"
echo shared >shared
aws s3 cp shared s3://folder/shared --no-progress
curl -sSf "$(aws s3 presign s3://folder/shared --expires-in 60)" >shared.out
same shared shared.out

say "aws: an object is deleted and restored"
aws s3 mb s3://kept
aws s3api put-bucket-versioning --bucket kept --versioning-configuration Status=Enabled
aws s3 cp shared s3://kept/file --no-progress
aws s3 rm s3://kept/file
aws s3 cp s3://kept/file gone --no-progress 2>/dev/null && exit 1
marker=$(aws s3api list-object-versions --bucket kept --query 'DeleteMarkers[0].VersionId' --output text)
aws s3api delete-object --bucket kept --key file --version-id "$marker" >/dev/null
aws s3 cp s3://kept/file restored --no-progress
same shared restored

say "s3cmd: put, sync, get, list, delete"
cat >s3cfg <<CFG
[default]
access_key = $AWS_ACCESS_KEY_ID
secret_key = $AWS_SECRET_ACCESS_KEY
host_base = $host
host_bucket = $host
use_https = False
signature_v2 = False
bucket_location = us-east-1
CFG
s3() { s3cmd -c s3cfg --no-progress "$@"; }
s3 mb s3://by-s3cmd
s3 put shared s3://by-s3cmd/shared >/dev/null
head -c 40000000 /dev/urandom >middle
s3 put middle s3://by-s3cmd/middle --multipart-chunk-size-mb=15 >/dev/null
s3 get s3://by-s3cmd/middle middle.out >/dev/null
same middle middle.out
s3 sync in/ s3://by-s3cmd/in/ >/dev/null
[ "$(s3 ls -r s3://by-s3cmd/in/ | wc -l)" = 6 ]
s3 info s3://by-s3cmd/shared | grep -q "MD5 sum"
s3 cp s3://by-s3cmd/shared s3://by-s3cmd/copy >/dev/null
s3 del -r -f s3://by-s3cmd/ >/dev/null
s3 rb s3://by-s3cmd

say "rclone: sync, check, a large file in parts, delete"
export RCLONE_CONFIG=rclone.conf
cat >rclone.conf <<CFG
[ours]
type = s3
provider = Other
access_key_id = $AWS_ACCESS_KEY_ID
secret_access_key = $AWS_SECRET_ACCESS_KEY
endpoint = $endpoint
region = us-east-1
CFG
rclone mkdir ours:by-rclone
rclone sync in ours:by-rclone/in
rclone check in ours:by-rclone/in
rclone copy --s3-upload-cutoff 10M --s3-chunk-size 5M middle ours:by-rclone/
rclone copyto ours:by-rclone/middle middle.rclone
same middle middle.rclone
[ "$(rclone lsf -R ours:by-rclone | grep -vc '/$')" = 7 ]
rclone purge ours:by-rclone
rclone lsf ours:by-rclone 2>/dev/null && exit 1
say "all of it works"
