// Hadoop's S3A file system, unchanged, as jobs use it: directories, large files in parts, seeks, ranges, renames, deletions.
// Arguments: the gateway's URL, an access key, its secret, a bucket that is there. Prints a line a step; fails with 1 at the first
// that is not as a file system's contract has it.
package allotrope.interop;

import java.io.FileNotFoundException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileRange;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

public final class S3aFiles {
  private static FileSystem fs;
  private static final Path TOP = new Path("/jobs");

  public static void main(String[] args) throws Exception {
    Configuration conf = new Configuration();
    conf.set("fs.s3a.endpoint", args[0]);
    conf.set("fs.s3a.endpoint.region", "us-east-1");
    conf.set("fs.s3a.access.key", args[1]);
    conf.set("fs.s3a.secret.key", args[2]);
    conf.set("fs.s3a.path.style.access", "true");
    conf.set("fs.s3a.connection.ssl.enabled", "false");
    conf.set("fs.s3a.multipart.size", "5M");
    conf.set("fs.s3a.multipart.threshold", "5M");
    conf.set("fs.s3a.attempts.maximum", "2");
    fs = FileSystem.newInstance(new URI("s3a://" + args[3] + "/"), conf);
    try {
      directories();
      smallFiles();
      largeFile();
      renames();
      deletions();
    } finally {
      fs.close();
    }
    System.out.println("all of it works");
  }

  private static void directories() throws Exception {
    check(fs.mkdirs(new Path(TOP, "a/b/c")), "directories are made");
    check(fs.getFileStatus(new Path(TOP, "a/b")).isDirectory(), "a directory between is one");
    check(fs.listStatus(new Path(TOP, "a/b")).length == 1, "it lists its one entry");
    missing(new Path(TOP, "none"));
    System.out.println("directories");
  }

  private static void smallFiles() throws Exception {
    for (int n = 0; n < 20; n++) {
      write(new Path(TOP, String.format("many/part-%05d", n)), pattern(1000 * n));
    }
    FileStatus[] listed = fs.listStatus(new Path(TOP, "many"));
    check(listed.length == 20, "all of the files are listed");
    for (int n = 0; n < 20; n++) {
      check(listed[n].getLen() == 1000 * n, "a listed length is right");
      check(Arrays.equals(read(listed[n].getPath()), pattern(1000 * n)), "a file comes back");
    }
    write(new Path(TOP, "many/part-00000"), pattern(7));
    check(Arrays.equals(read(new Path(TOP, "many/part-00000")), pattern(7)), "a file is written over");
    try {
      fs.create(new Path(TOP, "many/part-00001"), false).close();
      throw new AssertionError("a file is not made twice");
    } catch (FileAlreadyExistsException expected) {
      // As it should be.
    }
    System.out.println("small files");
  }

  private static void largeFile() throws Exception {
    Path large = new Path(TOP, "large");
    byte[] bytes = pattern(17_000_001);
    write(large, bytes);
    check(fs.getFileStatus(large).getLen() == bytes.length, "the parts make one file");
    check(Arrays.equals(read(large), bytes), "a file of several parts comes back");
    try (FSDataInputStream in = fs.open(large)) {
      for (int at : new int[] {16_999_000, 5_242_879, 0, 12_345_678}) {
        byte[] some = new byte[1001];
        in.readFully(at, some, 0, some.length);
        check(Arrays.equals(some, Arrays.copyOfRange(bytes, at, at + 1001)), "a read at " + at);
        in.seek(at);
        check(in.read() == (bytes[at] & 0xff), "a seek to " + at);
      }
      List<FileRange> ranges = new ArrayList<>();
      for (int at : new int[] {100, 4_000_000, 9_000_000, 15_000_000}) {
        ranges.add(FileRange.createFileRange(at, 100_000));
      }
      in.readVectored(ranges, ByteBuffer::allocate);
      for (FileRange range : ranges) {
        byte[] got = new byte[range.getLength()];
        range.getData().get(60, TimeUnit.SECONDS).get(got);
        int at = (int) range.getOffset();
        check(Arrays.equals(got, Arrays.copyOfRange(bytes, at, at + got.length)), "a range at " + at);
      }
    }
    System.out.println("a file in parts");
  }

  private static void renames() throws Exception {
    check(fs.rename(new Path(TOP, "many"), new Path(TOP, "moved")), "a directory is renamed");
    missing(new Path(TOP, "many"));
    TreeSet<String> names = new TreeSet<>();
    var files = fs.listFiles(new Path(TOP, "moved"), true);
    while (files.hasNext()) {
      names.add(files.next().getPath().getName());
    }
    check(names.size() == 20 && names.first().equals("part-00000"), "its files went along");
    check(fs.rename(new Path(TOP, "large"), new Path(TOP, "a/b/larger")), "a file in parts is renamed");
    check(Arrays.equals(read(new Path(TOP, "a/b/larger")), pattern(17_000_001)), "with its bytes");
    System.out.println("renames");
  }

  private static void deletions() throws Exception {
    check(!fs.delete(new Path(TOP, "none"), false), "nothing is deleted where nothing is");
    try {
      fs.delete(new Path(TOP, "moved"), false);
      throw new AssertionError("a full directory is not deleted without its files");
    } catch (java.io.IOException expected) {
      // As it should be.
    }
    check(fs.delete(TOP, true), "a tree is deleted");
    missing(TOP);
    check(fs.listStatus(new Path("/")).length == 0, "nothing is left");
    System.out.println("deletions");
  }

  private static void write(Path path, byte[] bytes) throws Exception {
    try (FSDataOutputStream out = fs.create(path, true)) {
      out.write(bytes);
    }
  }

  private static byte[] read(Path path) throws Exception {
    try (FSDataInputStream in = fs.open(path)) {
      return in.readAllBytes();
    }
  }

  private static void missing(Path path) throws Exception {
    try {
      fs.getFileStatus(path);
      throw new AssertionError(path + " is there");
    } catch (FileNotFoundException expected) {
      // As it should be.
    }
  }

  private static byte[] pattern(int length) {
    byte[] bytes = new byte[length];
    for (int at = 0; at < length; at++) {
      bytes[at] = (byte) (at * 31 ^ (at >> 8) * 17 ^ (at >> 16));
    }
    return bytes;
  }

  private static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError("not so: " + what);
    }
  }
}
