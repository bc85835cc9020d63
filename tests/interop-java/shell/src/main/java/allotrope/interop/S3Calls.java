package allotrope.interop;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.hdds.client.ReplicationConfig;
import org.apache.hadoop.hdds.conf.OzoneConfiguration;
import org.apache.hadoop.ozone.client.ObjectStore;
import org.apache.hadoop.ozone.client.OzoneBucket;
import org.apache.hadoop.ozone.client.OzoneClient;
import org.apache.hadoop.ozone.client.OzoneClientFactory;
import org.apache.hadoop.ozone.client.OzoneKeyDetails;
import org.apache.hadoop.ozone.client.OzoneMultipartUploadPartListParts;
import org.apache.hadoop.ozone.client.io.OzoneOutputStream;
import org.apache.hadoop.ozone.om.exceptions.OMException;
import org.apache.hadoop.ozone.om.helpers.OmMultipartUploadCompleteInfo;
import org.apache.hadoop.security.UserGroupInformation;

/** What a stock S3 gateway asks of the OM: its volume, secrets, multipart uploads, tags, conditional writes. */
final class S3Calls {
  private static final int PART = 5 * 1024 * 1024;

  private S3Calls() {}

  private interface Call {
    void run() throws Exception;
  }

  /** Says what a refused call was refused with. */
  private static void refused(String what, Call call) throws Exception {
    try {
      call.run();
      System.out.println(what + ": OK");
    } catch (OMException e) {
      System.out.println(what + ": " + e.getResult());
    }
  }

  private static void put(OzoneOutputStream out, byte[] bytes, String etag) throws Exception {
    out.write(bytes);
    out.getMetadata().put("ETag", etag);
    out.close();
  }

  static int run(OzoneConfiguration conf) throws Exception {
    try (OzoneClient client = OzoneClientFactory.getRpcClient(conf)) {
      ObjectStore store = client.getObjectStore();
      System.out.println("volume: " + store.getS3Volume().getName());
      store.createS3Bucket("photos");
      OzoneBucket bucket = store.getS3Bucket("photos");
      System.out.println("layout: " + bucket.getBucketLayout());
      ReplicationConfig config = null;

      String upload = bucket.initiateMultipartUpload("big", config).getUploadID();
      byte[] first = new byte[PART];
      Arrays.fill(first, (byte) 'a');
      byte[] last = "the end".getBytes(StandardCharsets.UTF_8);
      put(bucket.createMultipartKey("big", PART, 1, upload), first, "e1");
      put(bucket.createMultipartKey("big", last.length, 2, upload), last, "e2");
      OzoneMultipartUploadPartListParts parts = bucket.listParts("big", upload, 0, 10);
      System.out.println("parts: " + parts.getPartInfoList().size());
      System.out.println("uploads: " + bucket.listMultipartUploads("", "", "", 10).getUploads().size());
      refused("wrong part", () -> bucket.completeMultipartUpload("big", upload, Map.of(1, "e2")));
      Map<Integer, String> all = new TreeMap<>(Map.of(1, "e1", 2, "e2"));
      OmMultipartUploadCompleteInfo done = bucket.completeMultipartUpload("big", upload, all);
      System.out.println("hash: " + done.getHash());
      OzoneKeyDetails big = bucket.getKey("big");
      System.out.println("size: " + big.getDataSize());
      byte[] read = new byte[PART + last.length];
      try (InputStream in = bucket.readKey("big")) {
        int at = 0;
        for (int n = in.read(read, at, read.length - at); n > 0; n = in.read(read, at, read.length - at)) {
          at += n;
        }
      }
      byte[] wanted = Arrays.copyOf(first, read.length);
      System.arraycopy(last, 0, wanted, PART, last.length);
      System.out.println("bytes: " + Arrays.equals(read, wanted));
      String given = bucket.initiateMultipartUpload("gone", config).getUploadID();
      bucket.abortMultipartUpload("gone", given);
      refused("aborted", () -> bucket.abortMultipartUpload("gone", given));

      bucket.putObjectTagging("big", Map.of("colour", "blue"));
      System.out.println("tags: " + bucket.getObjectTagging("big"));
      bucket.deleteObjectTagging("big");
      System.out.println("tags: " + bucket.getObjectTagging("big"));

      Map<String, String> none = Collections.emptyMap();
      put(bucket.createKeyIfNotExists("once", 1, config, new HashMap<>(), none), new byte[1], "v1");
      refused("again", () -> bucket.createKeyIfNotExists("once", 1, config, new HashMap<>(), none).close());
      System.out.println("etag: " + bucket.getKey("once").getMetadata().get("ETag"));
      put(bucket.rewriteKeyIfMatch("once", 2, "v1", config, new HashMap<>(), none), new byte[2], "v2");
      refused("stale", () -> bucket.rewriteKeyIfMatch("once", 2, "v1", config, new HashMap<>(), none).close());
      System.out.println("etag: " + bucket.getKey("once").getMetadata().get("ETag"));

      String user = UserGroupInformation.getCurrentUser().getShortUserName();
      System.out.println("secret: " + store.getS3Secret(user).getAwsSecret().length());
      refused("secret again", () -> store.getS3Secret(user));
      System.out.println("set: " + store.setS3Secret(user, "chosen secret").getAwsSecret());
      store.revokeS3Secret(user);
      refused("revoked", () -> store.revokeS3Secret(user));
      for (String key : new String[] {"big", "once"}) {
        bucket.deleteKey(key);
      }
      store.deleteS3Bucket("photos");
      System.out.println("done");
      return 0;
    }
  }
}
