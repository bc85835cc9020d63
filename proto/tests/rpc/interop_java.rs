//! A stock Java client against our Hadoop RPC server.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use allotrope_proto::hadoop_rpc::HadoopServerConfig;
use tokio::process::Command;

use crate::support::start;

/// The class path of the Java peer; resolves and compiles it on the first run of this machine.
async fn class_path() -> String {
    let prepare = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/interop-java/prepare");
    let prepared = Command::new(&prepare)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", prepare.display()));
    let said = String::from_utf8_lossy(&prepared.stderr);
    assert!(
        prepared.status.success(),
        "the Java peer could not be prepared: {said}\n(Java and Maven come with './dev setup'; the jars from Maven Central)"
    );
    String::from_utf8(prepared.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_java_client_is_served_over_hadoop_rpc() {
    let class_path = class_path().await;
    let running = start(HadoopServerConfig::default()).await;
    let peer = Command::new("java")
        .args(["-Xmx512m", "-Xss256k", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"])
        .args(["-cp", &class_path, "allotrope.interop.HadoopRpcPeer", &running.address.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(Duration::from_secs(120), peer).await.unwrap().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let steps: Vec<&str> = said.lines().collect();
    let expected = [
        "service-list: 2 services",
        "business-error: VOLUME_NOT_FOUND Volume novol is not found",
        "unknown-method: org.apache.hadoop.ipc_.RpcNoSuchMethodException ERROR_NO_SUCH_METHOD",
        "large-response: 10485760 bytes",
        "pipelined: 1000 answers",
        "done: ok",
    ];
    assert_eq!(steps, expected, "{complained}");
    let contexts = running.om.contexts();
    assert!(contexts.iter().all(|context| context.caller.user.as_deref() == Some("interop")));
    assert!(contexts.iter().all(|context| context.caller.client_id.is_some()));
}
