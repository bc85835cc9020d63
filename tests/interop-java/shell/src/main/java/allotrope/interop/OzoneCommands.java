package allotrope.interop;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.hadoop.fs.ozone.OzoneFsShell;
import org.apache.hadoop.hdds.conf.OzoneConfiguration;
import org.apache.hadoop.ozone.admin.OzoneAdmin;
import org.apache.hadoop.ozone.freon.Freon;
import org.apache.hadoop.ozone.shell.OzoneShell;
import org.apache.hadoop.util.ToolRunner;

/**
 * Runs commands of stock {@code ozone sh}, {@code ozone admin}, {@code ozone fs} and {@code ozone freon} in one JVM, as they are, and calls of the S3
 * gateway.
 *
 * <p>Use: OzoneCommands HOST:PORT, OM's; SCM's is the property {@code scm}. Each line of stdin is a command, its words separated by
 * tabs, the first of them {@code sh}, {@code admin}, {@code fs}, {@code freon} or {@code s3}. Each answer is a line {@code exit CODE LENGTH}, and so many bytes that the command printed.
 */
public final class OzoneCommands {
  private OzoneCommands() {}

  private static OzoneConfiguration conf(String address) {
    OzoneConfiguration conf = new OzoneConfiguration();
    conf.set("ozone.om.address", address);
    conf.setInt("ozone.client.failover.max.attempts", 3);
    conf.setInt("ozone.client.wait.between.retries.millis", 200);
    conf.set("fs.defaultFS", "ofs://" + address + "/");
    conf.set("fs.trash.interval", System.getProperty("trash", "0"));
    conf.set("fs.ofs.impl", "org.apache.hadoop.fs.ozone.RootedOzoneFileSystem");
    conf.set("fs.o3fs.impl", "org.apache.hadoop.fs.ozone.OzoneFileSystem");
    return conf;
  }

  private static int run(String address, String kind, String[] args) throws Exception {
    switch (kind) {
      case "sh":
        String[] all = new String[args.length + 3];
        all[0] = "--set=ozone.om.address=" + address;
        all[1] = "--set=ozone.client.failover.max.attempts=3";
        all[2] = "--set=ozone.client.wait.between.retries.millis=200";
        System.arraycopy(args, 0, all, 3, args.length);
        return new OzoneShell().execute(all);
      case "admin":
        String[] asked = new String[args.length + 2];
        asked[0] = "--set=ozone.scm.client.address=" + System.getProperty("scm");
        asked[1] = "--set=hdds.scmclient.max.retry.timeout=20s";
        System.arraycopy(args, 0, asked, 2, args.length);
        return new OzoneAdmin().execute(asked);
      case "freon":
        String[] load = new String[args.length + 2];
        load[0] = "--set=ozone.om.address=" + address;
        load[1] = "--set=ozone.client.failover.max.attempts=3";
        System.arraycopy(args, 0, load, 2, args.length);
        return new Freon().execute(load);
      case "fs":
        return ToolRunner.run(new OzoneFsShell(conf(address)), args);
      case "trash":
        OzoneConfiguration conf = conf(address);
        conf.set("fs.trash.interval", "60");
        return ToolRunner.run(new OzoneFsShell(conf), args);
      case "s3":
        return S3Calls.run(conf(address));
      default:
        throw new IllegalArgumentException(kind);
    }
  }

  public static void main(String[] args) throws Exception {
    PrintStream answers = new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8");
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split("\t");
      ByteArrayOutputStream said = new ByteArrayOutputStream();
      PrintStream captured = new PrintStream(said, true, "UTF-8");
      System.setOut(captured);
      System.setErr(captured);
      int code;
      try {
        code = run(args[0], words[0], Arrays.copyOfRange(words, 1, words.length));
      } catch (Throwable thrown) {
        thrown.printStackTrace(captured);
        code = 99;
      }
      captured.flush();
      byte[] bytes = said.toByteArray();
      answers.println("exit " + code + " " + bytes.length);
      answers.write(bytes);
      answers.flush();
    }
    System.exit(0);
  }
}
