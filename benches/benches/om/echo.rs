//! Empty calls: the same transport, request and answer of given sizes, nothing behind them.

use std::sync::Arc;

use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig, GrpcServer, GrpcServerConfig};
use allotrope_proto::net::{AcceptLimits, Drain, Plain, listen};
use allotrope_proto::om::{OmRequest, OmResponse};
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallContext, CallOptions, ClientId, Fault, Methods, RpcClient as _, Service};
use tokio::runtime::{Builder, Runtime};

struct Canned(OmResponse);

impl Service<OmSubmit> for Canned {
    async fn call(&self, _: CallContext, _: OmRequest) -> Result<OmResponse, Fault> {
        Ok(self.0.clone())
    }
}

/// A server that gives one canned answer to each request, and a client of it, for each call of a unit of work.
#[derive(Clone)]
pub(crate) struct Echo {
    calls: Vec<(GrpcClient, Arc<OmRequest>)>,
    _server: Arc<Running>,
}

struct Running {
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Echo {
    /// Like a unit of work that makes these calls and gets these answers.
    pub(crate) async fn like(sample: &[(OmRequest, OmResponse)]) -> Echo {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("echo").enable_all().build();
        let runtime = runtime.expect("a runtime starts");
        let mut calls = Vec::new();
        for (request, response) in sample {
            let canned = Arc::new(Canned(response.clone()));
            let methods = Methods::new().serve::<OmSubmit, _>(&canned).expect("one service");
            let server = GrpcServer::new(GrpcServerConfig::default(), Arc::new(methods));
            let entered = runtime.enter();
            let listener = listen(([127, 0, 0, 1], 0).into()).expect("loopback listens");
            drop(entered);
            let address = listener.local_addr().expect("it has an address");
            runtime.spawn(async move {
                // The methods hold their service weakly or not; the task keeps it.
                let _kept = canned;
                server.serve(listener, Plain, AcceptLimits::default(), &Drain::new()).await;
            });
            let id = ClientId::from_bytes([9; 16]);
            let client = GrpcClient::new(address.into(), Plain, id, GrpcClientConfig::default());
            calls.push((client.expect("an address"), Arc::new(request.clone())));
        }
        Echo { calls, _server: Arc::new(Running { runtime: Some(runtime) }) }
    }

    /// One unit of work, empty.
    pub(crate) async fn call(&self) {
        for (client, request) in &self.calls {
            client.call::<OmSubmit>(request, &CallOptions::default()).await.expect("the echo answers");
        }
    }
}
