package allotrope.interop;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Iterator;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.CopyContainerCompressProto;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.CopyContainerRequestProto;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.CopyContainerResponseProto;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.SendContainerRequest;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.SendContainerResponse;
import org.apache.hadoop.hdds.protocol.datanode.proto.IntraDatanodeProtocolServiceGrpc;
import org.apache.ratis.thirdparty.com.google.protobuf.ByteString;
import org.apache.ratis.thirdparty.io.grpc.ManagedChannel;
import org.apache.ratis.thirdparty.io.grpc.Status;
import org.apache.ratis.thirdparty.io.grpc.netty.NettyChannelBuilder;
import org.apache.ratis.thirdparty.io.grpc.stub.ClientCallStreamObserver;
import org.apache.ratis.thirdparty.io.grpc.stub.ClientResponseObserver;
import org.rocksdb.Options;
import org.rocksdb.ReadOptions;
import org.rocksdb.SstFileReader;
import org.rocksdb.SstFileReaderIterator;

/**
 * Moves a container from one datanode to another with the stubs that Ozone's datanodes use, and looks at the archive on the
 * way with the RocksDB of Ozone's release. Prints what it saw, one line a step.
 *
 * <p>Use: ReplicationPeer SOURCE_PORT TARGET_PORT CONTAINER FOLDER
 */
public final class ReplicationPeer {
  private static final int PART = 1 << 20;

  private ReplicationPeer() {}

  public static void main(String[] args) throws Exception {
    long container = Long.parseLong(args[2]);
    ManagedChannel source = channel(args[0]);
    ManagedChannel target = channel(args[1]);
    byte[] archive = download(source, container);
    look(archive, Path.of(args[3]));
    System.out.println("upload: " + upload(target, container, archive));
    System.out.println("again: " + upload(target, container, archive));
    System.out.println("cut: " + upload(target, container + 1, Arrays.copyOf(archive, archive.length / 2)));
    source.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
    target.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
    System.out.println("done: ok");
  }

  private static ManagedChannel channel(String port) {
    return NettyChannelBuilder.forAddress("127.0.0.1", Integer.parseInt(port))
        .usePlaintext()
        .maxInboundMessageSize(32 << 20)
        .build();
  }

  private static byte[] download(ManagedChannel channel, long container) {
    CopyContainerRequestProto request =
        CopyContainerRequestProto.newBuilder()
            .setContainerID(container)
            .setLen(-1)
            .setReadOffset(0)
            .setCompression(CopyContainerCompressProto.NO_COMPRESSION)
            .build();
    ByteArrayOutputStream archive = new ByteArrayOutputStream();
    boolean eof = false;
    Iterator<CopyContainerResponseProto> parts =
        IntraDatanodeProtocolServiceGrpc.newBlockingStub(channel)
            .withDeadlineAfter(60, TimeUnit.SECONDS)
            .download(request);
    while (parts.hasNext()) {
      CopyContainerResponseProto part = parts.next();
      if (part.getReadOffset() != archive.size() || part.getLen() != part.getData().size() || eof) {
        throw new IllegalStateException("a part at " + part.getReadOffset() + " is out of place");
      }
      archive.writeBytes(part.getData().toByteArray());
      eof = part.getEof();
    }
    System.out.println("download: " + (eof ? "whole" : "cut"));
    return archive.toByteArray();
  }

  /** Walks the headers; the SST files are read by RocksDB. */
  private static void look(byte[] archive, Path folder) throws Exception {
    int at = 0;
    while (archive[at] != 0) {
      String name = new String(archive, at, 100, StandardCharsets.US_ASCII).trim();
      String octal = new String(archive, at + 124, 11, StandardCharsets.US_ASCII);
      int length = Integer.parseInt(octal, 8);
      byte[] content = Arrays.copyOfRange(archive, at + 512, at + 512 + length);
      if (name.startsWith("db/") && length > 0) {
        Path file = folder.resolve(name.substring(3));
        Files.write(file, content);
        rows(name, file, name.endsWith("metadata.data"));
      }
      at += 512 + (length + 511) / 512 * 512;
    }
  }

  private static void rows(String name, Path file, boolean counters) throws Exception {
    int count = 0;
    try (Options options = new Options();
        SstFileReader reader = new SstFileReader(options)) {
      reader.open(file.toString());
      reader.verifyChecksum();
      try (ReadOptions read = new ReadOptions();
          SstFileReaderIterator rows = reader.newIterator(read)) {
        for (rows.seekToFirst(); rows.isValid(); rows.next()) {
          count++;
          String key = new String(rows.key(), 9, rows.key().length - 9, StandardCharsets.US_ASCII);
          if (counters && key.equals("#BLOCKCOUNT")) {
            System.out.println("blocks: " + java.nio.ByteBuffer.wrap(rows.value()).getLong());
          }
        }
      }
    }
    System.out.println(name + ": " + (counters ? "read" : count + " rows"));
  }

  private static String upload(ManagedChannel channel, long container, byte[] archive) throws Exception {
    CompletableFuture<String> done = new CompletableFuture<>();
    IntraDatanodeProtocolServiceGrpc.newStub(channel)
        .withDeadlineAfter(60, TimeUnit.SECONDS)
        .upload(
            new ClientResponseObserver<SendContainerRequest, SendContainerResponse>() {
              private ClientCallStreamObserver<SendContainerRequest> out;
              private int at;

              @Override
              public void beforeStart(ClientCallStreamObserver<SendContainerRequest> stream) {
                out = stream;
                out.setOnReadyHandler(this::send);
              }

              private void send() {
                while (out.isReady() && at < archive.length) {
                  int length = Math.min(PART, archive.length - at);
                  SendContainerRequest.Builder part =
                      SendContainerRequest.newBuilder()
                          .setContainerID(container)
                          .setOffset(at)
                          .setCompression(CopyContainerCompressProto.NO_COMPRESSION)
                          .setData(ByteString.copyFrom(archive, at, length));
                  if (at == 0) {
                    part.setSize(archive.length);
                  }
                  out.onNext(part.build());
                  at += length;
                  if (at == archive.length) {
                    out.onCompleted();
                  }
                }
              }

              @Override
              public void onNext(SendContainerResponse response) {}

              @Override
              public void onError(Throwable error) {
                done.complete(Status.fromThrowable(error).getCode().name());
              }

              @Override
              public void onCompleted() {
                done.complete("ok");
              }
            });
    return done.get(60, TimeUnit.SECONDS);
  }
}
