package allotrope.interop;

import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.BlockData;
import org.rocksdb.ColumnFamilyDescriptor;
import org.rocksdb.ColumnFamilyHandle;
import org.rocksdb.DBOptions;
import org.rocksdb.Options;
import org.rocksdb.RocksDB;
import org.rocksdb.RocksIterator;

/**
 * Looks at a datanode's volume with what Ozone uses: Java's file locks and the RocksDB it is released with.
 *
 * <p>Use: VolumePeer lock FILE | hold FILE | db FOLDER
 */
public final class VolumePeer {
  private static final int PREFIX = Long.BYTES + 1;

  private VolumePeer() {}

  public static void main(String[] args) throws Exception {
    switch (args[0]) {
      case "db":
        database(args[1]);
        break;
      default:
        lock(args[1], args[0].equals("hold"));
    }
  }

  private static void lock(String file, boolean hold) throws Exception {
    try (FileChannel channel =
            FileChannel.open(Path.of(file), StandardOpenOption.WRITE, StandardOpenOption.CREATE);
        FileLock lock = channel.tryLock()) {
      System.out.println(lock == null ? "held by another" : "taken");
      while (hold && System.in.read() >= 0) {
        // Until whoever started us closes our input.
      }
    }
  }

  private static void database(String folder) throws Exception {
    RocksDB.loadLibrary();
    List<ColumnFamilyDescriptor> families = new ArrayList<>();
    for (byte[] name : RocksDB.listColumnFamilies(new Options(), folder)) {
      families.add(new ColumnFamilyDescriptor(name));
    }
    List<ColumnFamilyHandle> handles = new ArrayList<>();
    // Opened for writing, as a datanode would.
    try (DBOptions options = new DBOptions();
        RocksDB db = RocksDB.open(options, folder, families, handles)) {
      for (ColumnFamilyHandle handle : handles) {
        print(db, handle);
      }
      handles.forEach(ColumnFamilyHandle::close);
    }
  }

  private static void print(RocksDB db, ColumnFamilyHandle handle) throws Exception {
    String name = new String(handle.getName(), StandardCharsets.UTF_8);
    try (RocksIterator entries = db.newIterator(handle)) {
      for (entries.seekToFirst(); entries.isValid(); entries.next()) {
        byte[] key = entries.key();
        String suffix = new String(key, PREFIX, key.length - PREFIX, StandardCharsets.ISO_8859_1);
        String line = name + " " + ByteBuffer.wrap(key).getLong() + " " + suffix;
        if (name.equals("block_data")) {
          BlockData block = BlockData.parseFrom(entries.value());
          line += ": " + block.getChunksCount() + " chunks, " + block.getSize() + " bytes";
        } else if (entries.value().length == Long.BYTES) {
          line += ": " + ByteBuffer.wrap(entries.value()).getLong();
        }
        System.out.println(line);
      }
    }
  }
}
