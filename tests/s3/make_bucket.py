"""Makes the bucket that S3_BUCKET names."""

import os

from common import s3

s3.create_bucket(Bucket=os.environ["S3_BUCKET"])
