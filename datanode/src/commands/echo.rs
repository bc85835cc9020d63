//! Echo: as many bytes as are asked for, after as long as is asked for. Load generators measure the way with it.

use super::{CommandError, Context};
use crate::store::Store;
use allotrope_proto::container::{EchoRequestProto, EchoResponseProto};
use allotrope_types::DatanodeResult::MalformedRequest;
use std::rc::Rc;
use std::time::Duration;

const PAYLOAD_MAX: usize = 31 << 20;
const SLEEP_MAX: Duration = Duration::from_secs(30);

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: EchoRequestProto,
) -> Result<EchoResponseProto, CommandError> {
    context.existing(store)?;
    let len =
        usize::try_from(request.payload_size_resp()).ok().filter(|len| *len <= PAYLOAD_MAX).ok_or_else(
            || CommandError::new(MalformedRequest, format!("payloadSizeResp is not 0 to {PAYLOAD_MAX}")),
        )?;
    let sleep = Duration::from_millis(u64::try_from(request.sleep_time_ms()).unwrap_or(0)).min(SLEEP_MAX);
    if !sleep.is_zero() {
        store.shard().clock().sleep(sleep).await;
    }
    // Bytes that do not compress well, from a generator nobody should trust.
    let mut state = store.shard().clock().now().nanos() | 1;
    let payload: Vec<u8> = (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    Ok(EchoResponseProto { payload: Some(payload.into()) })
}
