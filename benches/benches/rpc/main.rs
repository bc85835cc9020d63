//! Echo calls a second over Hadoop RPC beside gRPC: one service, one process, the same payload, turn by turn.
//!
//! Shape   a server with both wires on one port and a client of each; callers share the client's one connection. The
//!         wires take turns of a fixed length, so that what the machine does besides hits both alike.
//! Units   calls a second of wall time, client and server together on the runtime's threads; a ratio is the median over
//!         the turns.
//! Never   fails for a time: it prints ratios.
//!
//! `cargo bench -p allotrope-benches --features rpc --bench rpc` prints the table; with `-- --save` it also writes it to
//! docs/performance/rpc.md, with `-- --quick` it takes fewer turns.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock and writes its report itself")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig, GrpcServer, GrpcServerConfig};
use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopClient, HadoopServer, HadoopServerConfig};
use allotrope_proto::net::{AcceptLimits, Drain, Plain, Port, listen};
use allotrope_proto::om::{EchoRpcRequest, EchoRpcResponse, OmRequest, OmResponse, Status, Type};
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallContext, CallOptions, ClientId, Fault, Methods, RpcClient, Service};
use bytes::Bytes;

const TURN: Duration = Duration::from_millis(300);

/// Payload bytes and callers at once.
const CASES: [(usize, usize); 6] =
    [(64, 1), (64, 64), (4 << 10, 1), (4 << 10, 64), (1 << 20, 1), (1 << 20, 8)];

struct Echo;

impl Service<OmSubmit> for Echo {
    async fn call(&self, _context: CallContext, request: OmRequest) -> Result<OmResponse, Fault> {
        let payload = request.echo_rpc_request.and_then(|echo| echo.payload_req);
        Ok(OmResponse {
            cmd_type: Type::EchoRpc.into(),
            status: Status::Ok.into(),
            echo_rpc_response: Some(Box::new(EchoRpcResponse { payload })),
            ..OmResponse::default()
        })
    }
}

/// Calls a second of `callers` that each wait for their answer before they ask again.
async fn turn<C: RpcClient + Clone>(client: &C, request: &Arc<OmRequest>, callers: usize) -> f64 {
    let began = Instant::now();
    let asking: Vec<_> = (0..callers)
        .map(|_| {
            let (client, request) = (client.clone(), Arc::clone(request));
            tokio::spawn(async move {
                let mut calls = 0u32;
                while began.elapsed() < TURN {
                    let answer = client.call::<OmSubmit>(&request, &CallOptions::default()).await;
                    answer.expect("the echo answers");
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let mut calls = 0;
    for caller in asking {
        calls += caller.await.expect("a caller does not panic");
    }
    f64::from(calls) / began.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn measure(turns: usize) -> String {
    let methods = Methods::new().serve::<OmSubmit, _>(&Arc::new(Echo)).expect("one service");
    let methods = Arc::new(methods);
    let grpc = GrpcServer::new(GrpcServerConfig::default(), Arc::clone(&methods));
    let hadoop = HadoopServer::new(HadoopServerConfig::default(), methods).expect("the defaults fit");
    let listener = listen(([127, 0, 0, 1], 0).into()).expect("loopback listens");
    let address = listener.local_addr().expect("it has an address");
    let (drain, port) = (Drain::new(), Port::new(hadoop, grpc, AcceptLimits::default()));
    let draining = drain.clone();
    let serving = tokio::spawn(async move { port.serve(listener, Plain, &draining).await });
    let id = ClientId::from_bytes([7; 16]);
    let hadoop = HadoopClient::new(address.into(), Plain, id, ClientConfig::default());
    let grpc = GrpcClient::new(address.into(), Plain, id, GrpcClientConfig::default()).expect("an address");

    let mut table = String::from(
        "| payload | callers | Hadoop RPC, calls/s | gRPC, calls/s | ratio |\n| ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (payload, callers) in CASES {
        let request = Arc::new(OmRequest {
            cmd_type: Type::EchoRpc.into(),
            client_id: "client-bench".into(),
            echo_rpc_request: Some(Box::new(EchoRpcRequest {
                payload_req: Some(Bytes::from(vec![7; payload])),
                ..EchoRpcRequest::default()
            })),
            ..OmRequest::default()
        });
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // The first turn of each opens its connection.
        turn(&hadoop, &request, callers).await;
        turn(&grpc, &request, callers).await;
        for _ in 0..turns {
            let one = turn(&hadoop, &request, callers).await;
            let two = turn(&grpc, &request, callers).await;
            ours.push(one);
            theirs.push(two);
            ratios.push(one / two);
        }
        let line = format!(
            "| {payload} B | {callers} | {:.0} | {:.0} | {:.2} |",
            median(ours),
            median(theirs),
            median(ratios)
        );
        eprintln!("{line}");
        writeln!(table, "{line}").expect("a string takes it");
    }
    drain.finish(Duration::from_secs(5)).await;
    serving.await.expect("the port ends");
    table
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let Some(wrong) = args.iter().find(|arg| !["--save", "--quick"].contains(&arg.as_str())) {
        eprintln!("error: unknown argument {wrong}\n  try: -- [--quick] [--save]");
        std::process::exit(2);
    }
    let turns = if args.iter().any(|arg| arg == "--quick") { 3 } else { 15 };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let table = runtime.block_on(measure(turns));
    println!("{table}");
    if args.iter().any(|arg| arg == "--save") {
        let report = format!(
            "# Calls\n\nMade by `cargo bench -p allotrope-benches --features rpc --bench rpc -- --save` (`./dev bench rpc`). \
             One echo service behind one port, client and server in one process on two threads, one connection a wire over \
             loopback; each caller waits for its answer before it asks again. gRPC is tonic's framing on hyper's HTTP/2 with \
             our windows. The wires take turns of 300 ms; a ratio is the median over {turns} turns, so it holds on a busy \
             machine where calls a second do not.\n\n{table}"
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/rpc.md");
        std::fs::write(path, report).expect("the report is written");
    }
}
