"""A key that was revoked is nobody's."""

import os

from common import case, client, main, refused, s3


@case
def the_other_key_is_unknown_and_ours_works():
    s3.list_buckets()
    with refused("InvalidAccessKeyId", 403):
        client(key=os.environ["S3_OTHER"], secret=os.environ["S3_OTHER_SECRET"]).list_buckets()


main()
