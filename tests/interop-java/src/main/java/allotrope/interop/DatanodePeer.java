package allotrope.interop;

import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.List;
import java.util.UUID;
import org.apache.hadoop.hdds.client.BlockID;
import org.apache.hadoop.hdds.client.StandaloneReplicationConfig;
import org.apache.hadoop.hdds.conf.OzoneConfiguration;
import org.apache.hadoop.hdds.protocol.DatanodeDetails;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.BlockData;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.ChecksumType;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.ChunkInfo;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.ContainerCommandResponseProto;
import org.apache.hadoop.hdds.protocol.datanode.proto.ContainerProtos.ReadChunkResponseProto;
import org.apache.hadoop.hdds.protocol.proto.HddsProtos;
import org.apache.hadoop.hdds.scm.XceiverClientGrpc;
import org.apache.hadoop.hdds.scm.XceiverClientSpi.Validator;
import org.apache.hadoop.hdds.scm.container.common.helpers.StorageContainerException;
import org.apache.hadoop.hdds.scm.pipeline.Pipeline;
import org.apache.hadoop.hdds.scm.pipeline.PipelineID;
import org.apache.hadoop.hdds.scm.storage.ContainerProtocolCalls;
import org.apache.hadoop.ozone.common.Checksum;
import org.apache.hadoop.ozone.common.ChecksumData;
import org.apache.ratis.thirdparty.com.google.protobuf.ByteString;

/**
 * Drives a datanode with Ozone's own gRPC client and prints what it saw, one line a step.
 *
 * <p>Use: DatanodePeer HOST PORT UUID
 */
public final class DatanodePeer {
  private static final int CHUNK = 1 << 20;
  private static final int CHUNKS = 3;
  private static final long CONTAINER = 1;

  private final XceiverClientGrpc client;
  private final List<Validator> validators =
      ContainerProtocolCalls.toValidatorList(
          (request, response) -> ContainerProtocolCalls.validateContainerResponse(response));

  private DatanodePeer(XceiverClientGrpc client) {
    this.client = client;
  }

  public static void main(String[] args) throws Exception {
    DatanodeDetails node =
        DatanodeDetails.newBuilder()
            .setUuid(UUID.fromString(args[2]))
            .setHostName(args[0])
            .setIpAddress(args[0])
            .setCurrentVersion(3)
            .addPort(DatanodeDetails.newStandalonePort(Integer.parseInt(args[1])))
            .build();
    Pipeline pipeline =
        Pipeline.newBuilder()
            .setId(PipelineID.randomId())
            .setReplicationConfig(
                StandaloneReplicationConfig.getInstance(HddsProtos.ReplicationFactor.ONE))
            .setState(Pipeline.PipelineState.OPEN)
            .setNodes(Collections.singletonList(node))
            .build();
    try (XceiverClientGrpc client = new XceiverClientGrpc(pipeline, new OzoneConfiguration())) {
      client.connect();
      new DatanodePeer(client).run();
    }
    System.out.println("done: ok");
    // The client leaves threads behind.
    System.exit(0);
  }

  private void run() throws Exception {
    BlockID block = new BlockID(CONTAINER, 7);
    BlockData.Builder list =
        BlockData.newBuilder()
            .setBlockID(block.getDatanodeBlockIDProtobuf())
            .addMetadata(
                ContainerProtos.KeyValue.newBuilder().setKey("TYPE").setValue("KEY").build());
    for (int n = 0; n < CHUNKS; n++) {
      ChunkInfo chunk = chunk(7, n);
      ok(ContainerProtocolCalls.writeChunkAsync(
              client, chunk, block, bytes(n), null, 0, null, false)
          .getResponse()
          .get());
      list.addChunks(chunk);
      ContainerCommandResponseProto put =
          ok(ContainerProtocolCalls.putBlockAsync(client, list.build(), n + 1 == CHUNKS, null)
              .getResponse()
              .get());
      System.out.println(
          "put-block: " + put.getPutBlock().getCommittedBlockLength().getBlockLength());
    }
    BlockData got =
        ContainerProtocolCalls.getBlock(client, validators, block, null, Collections.emptyMap())
            .getBlockData();
    System.out.println("get-block: " + got.getSize() + " bytes in " + got.getChunksCount() + " chunks");
    if (!got.getChunksList().equals(list.getChunksList())) {
      throw new IllegalStateException("the chunk list came back changed");
    }
    for (int n = 0; n < CHUNKS; n++) {
      read(block, got.getChunks(n), n);
    }
    System.out.println("read-chunk: " + CHUNKS + " chunks verified");
    ContainerProtocolCalls.writeSmallFile(client, new BlockID(CONTAINER, 10), bytes(9).toByteArray(), null);
    ByteString small =
        join(ContainerProtocolCalls.readSmallFile(client, new BlockID(CONTAINER, 10), null).getData());
    System.out.println("small-file: " + small.equals(bytes(9)));
    System.out.println(
        "committed-length: "
            + ContainerProtocolCalls.getCommittedBlockLength(client, block, null).getBlockLength());
    StringBuilder listed = new StringBuilder();
    ContainerProtocolCalls.listBlock(client, CONTAINER, null, Integer.MAX_VALUE, null)
        .getBlockDataList()
        .forEach(one -> listed.append(' ').append(one.getBlockID().getLocalID()));
    System.out.println("list-block:" + listed);
    refused("no-such-block", () ->
        ContainerProtocolCalls.getBlock(client, validators, new BlockID(CONTAINER, 99), null, Collections.emptyMap()));
    ContainerProtocolCalls.closeContainer(client, CONTAINER, null);
    System.out.println(
        "close-container: "
            + ContainerProtocolCalls.readContainer(client, CONTAINER, null).getContainerData().getState());
    refused("write-after-close", () ->
        ok(ContainerProtocolCalls.writeChunkAsync(
                client, chunk(8, 0), new BlockID(CONTAINER, 8), bytes(0), null, 0, null, false)
            .getResponse()
            .get()));
  }

  private void read(BlockID block, ChunkInfo chunk, int n) throws Exception {
    ByteString data =
        join(ContainerProtocolCalls.readChunk(
            client, chunk, block.getDatanodeBlockIDProtobuf(), validators, null));
    if (!data.equals(bytes(n))) {
      throw new IllegalStateException("chunk " + n + " came back changed");
    }
    Checksum.verifyChecksum(
        data.asReadOnlyByteBuffer(), ChecksumData.getFromProtoBuf(chunk.getChecksumData()), 0);
  }

  private static ByteString join(ReadChunkResponseProto answer) {
    return answer.hasData()
        ? answer.getData()
        : ByteString.copyFrom(answer.getDataBuffers().getBuffersList());
  }

  private interface Act {
    void run() throws Exception;
  }

  private static void refused(String what, Act act) throws Exception {
    try {
      act.run();
      System.out.println(what + ": not refused");
    } catch (StorageContainerException e) {
      System.out.println(what + ": " + e.getResult());
    }
  }

  private static ContainerCommandResponseProto ok(ContainerCommandResponseProto answer)
      throws StorageContainerException {
    ContainerProtocolCalls.validateContainerResponse(answer);
    return answer;
  }

  private static ByteString bytes(int salt) {
    ByteBuffer data = ByteBuffer.allocate(CHUNK);
    for (int i = 0; i < CHUNK; i++) {
      data.put((byte) (i * 31 ^ i >> 8 ^ salt * 77));
    }
    data.flip();
    return ByteString.copyFrom(data);
  }

  private static ChunkInfo chunk(long local, int n) throws Exception {
    ChecksumData sums =
        new Checksum(ChecksumType.CRC32, 16 * 1024).computeChecksum(bytes(n).asReadOnlyByteBuffer());
    return ChunkInfo.newBuilder()
        .setChunkName(local + "_chunk_" + (n + 1))
        .setOffset((long) n * CHUNK)
        .setLen(CHUNK)
        .setChecksumData(sums.getProtoBufMessage())
        .build();
  }
}
