package allotrope.interop;

import com.google.protobuf.RpcController;
import com.google.protobuf.ServiceException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.hdds.conf.OzoneConfiguration;
import org.apache.hadoop.io.retry.RetryPolicies;
import org.apache.hadoop.ipc_.ProtobufRpcEngine;
import org.apache.hadoop.ipc_.ProtocolInfo;
import org.apache.hadoop.ipc_.RPC;
import org.apache.hadoop.ipc_.RemoteException;
import org.apache.hadoop.net.NetUtils;
import org.apache.hadoop.ozone.om.exceptions.OMException;
import org.apache.hadoop.ozone.om.helpers.ServiceInfoEx;
import org.apache.hadoop.ozone.om.protocolPB.OmTransport;
import org.apache.hadoop.ozone.om.protocolPB.OmTransportFactory;
import org.apache.hadoop.ozone.om.protocolPB.OzoneManagerProtocolClientSideTranslatorPB;
import org.apache.hadoop.ozone.protocol.proto.OzoneManagerProtocolProtos.OMRequest;
import org.apache.hadoop.ozone.protocol.proto.OzoneManagerProtocolProtos.OMResponse;
import org.apache.hadoop.ozone.protocol.proto.OzoneManagerProtocolProtos.Type;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * Drives an OM over Hadoop RPC with Ozone's own client classes and prints what it saw, one line a step.
 *
 * <p>Use: HadoopRpcPeer HOST:PORT
 */
public final class HadoopRpcPeer {
  private static final int PIPELINED = 1000;
  private static final int LARGE_KIB = 10 * 1024;

  /** A method of the OM's protocol that no OM has. */
  @ProtocolInfo(
      protocolName = "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol",
      protocolVersion = 1)
  public interface UnknownMethodPB {
    OMResponse noSuchMethod(RpcController controller, OMRequest request) throws ServiceException;
  }

  private HadoopRpcPeer() {}

  public static void main(String[] args) throws Exception {
    OzoneConfiguration conf = new OzoneConfiguration();
    conf.set("ozone.om.address", args[0]);
    conf.setInt("ozone.client.failover.max.attempts", 1);
    conf.setInt("ozone.client.wait.between.retries.millis", 100);
    UserGroupInformation user = UserGroupInformation.createRemoteUser("interop");
    OmTransport transport = OmTransportFactory.create(conf, user, null);
    OzoneManagerProtocolClientSideTranslatorPB om =
        new OzoneManagerProtocolClientSideTranslatorPB(transport, "interop-client");
    try {
      ServiceInfoEx services = om.getServiceInfo();
      print("service-list", services.getServiceInfoList().size() + " services");
      businessError(om);
      print("unknown-method", unknownMethod(conf, user, args[0]));
      byte[] large = om.echoRPCReq(new byte[0], LARGE_KIB, false).getPayload().toByteArray();
      print("large-response", large.length + " bytes");
      print("pipelined", pipelined(om) + " answers");
    } finally {
      om.close();
    }
    print("done", "ok");
    System.exit(0);
  }

  private static void businessError(OzoneManagerProtocolClientSideTranslatorPB om) throws IOException {
    try {
      om.getVolumeInfo("novol");
      print("business-error", "none");
    } catch (OMException e) {
      print("business-error", e.getResult() + " " + e.getMessage());
    }
  }

  private static String unknownMethod(OzoneConfiguration conf, UserGroupInformation user, String address)
      throws IOException {
    RPC.setProtocolEngine(conf, UnknownMethodPB.class, ProtobufRpcEngine.class);
    InetSocketAddress at = NetUtils.createSocketAddr(address);
    UnknownMethodPB proxy =
        RPC.getProtocolProxy(
                UnknownMethodPB.class,
                1,
                at,
                user,
                conf,
                NetUtils.getDefaultSocketFactory(conf),
                30_000,
                RetryPolicies.TRY_ONCE_THEN_FAIL)
            .getProxy();
    try {
      proxy.noSuchMethod(
          null, OMRequest.newBuilder().setCmdType(Type.ServiceList).setClientId("interop").build());
      return "answered";
    } catch (ServiceException e) {
      if (e.getCause() instanceof RemoteException) {
        RemoteException remote = (RemoteException) e.getCause();
        return remote.getClassName() + " " + remote.getErrorCode();
      }
      return String.valueOf(e.getCause());
    } finally {
      RPC.stopProxy(proxy);
    }
  }

  /** All calls wait for each other on this side, so that they are on the wire together. */
  private static int pipelined(OzoneManagerProtocolClientSideTranslatorPB om) throws Exception {
    byte[] payload = ("gate:" + PIPELINED).getBytes("US-ASCII");
    ExecutorService threads = Executors.newFixedThreadPool(PIPELINED);
    CountDownLatch ready = new CountDownLatch(PIPELINED);
    List<Future<Integer>> answers = new ArrayList<>();
    for (int i = 0; i < PIPELINED; i++) {
      answers.add(
          threads.submit(
              () -> {
                ready.countDown();
                ready.await();
                return om.echoRPCReq(payload, 0, false).getPayload().size();
              }));
    }
    int answered = 0;
    for (Future<Integer> answer : answers) {
      if (answer.get(60, TimeUnit.SECONDS) > 0) {
        answered++;
      }
    }
    threads.shutdown();
    return answered;
  }

  private static void print(String step, String result) {
    System.out.println(step + ": " + result);
  }
}
