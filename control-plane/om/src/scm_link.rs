//! The way to SCM: our gRPC between our own servers, Hadoop RPC to an SCM of Ozone's. Both carry the same messages.

use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopClient};
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::rpc::{CallError, CallOptions, ClientId, Rpc, RpcClient};

/// How OM speaks to SCM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScmTransport {
    /// gRPC, which an SCM of ours serves on the same ports.
    #[default]
    Grpc,
    /// Hadoop RPC, which an SCM of Ozone's serves.
    HadoopRpc,
}

/// A client of one of SCM's services.
pub(crate) enum ScmLink {
    Grpc(GrpcClient),
    Hadoop(HadoopClient<Plain>),
}

impl ScmLink {
    /// To `target`, by `transport`.
    ///
    /// # Errors
    /// A target that is no address, as text.
    pub(crate) fn to(target: Target, transport: ScmTransport, id: u128) -> Result<ScmLink, String> {
        let id = ClientId::from_bytes(id.to_be_bytes());
        Ok(match transport {
            ScmTransport::Grpc => {
                let client = GrpcClient::new(target, Plain, id, GrpcClientConfig::default());
                ScmLink::Grpc(client.map_err(|error| error.to_string())?)
            }
            ScmTransport::HadoopRpc => {
                let config = ClientConfig { user: Some("om".to_owned()), ..ClientConfig::default() };
                ScmLink::Hadoop(HadoopClient::new(target, Plain, id, config))
            }
        })
    }
}

impl RpcClient for ScmLink {
    async fn call<R: Rpc>(
        &self,
        request: &R::Request,
        options: &CallOptions,
    ) -> Result<R::Response, CallError> {
        match self {
            ScmLink::Grpc(client) => client.call::<R>(request, options).await,
            ScmLink::Hadoop(client) => client.call::<R>(request, options).await,
        }
    }
}
