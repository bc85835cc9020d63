//! OM as a replicated state machine: an entry of the log is a request made ready, its answer is the response.
//!
//! Law     what an entry does depends on the tables, the entry and its log time alone.

use allotrope_consensus::{Batch, LogTime, Proto, StateMachine, TableError};
use allotrope_proto::om::{OmRequest, OmResponse, Type};
use allotrope_types::OmStatus;

use crate::refusal::Refusal;
use crate::requests::{self, Answer, table};
use crate::tables;
use crate::tx::Tx;

/// OM's state machine. It keeps nothing beside the tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct Namespace;

impl StateMachine for Namespace {
    type Command = Proto<OmRequest>;
    type Answer = Proto<OmResponse>;

    fn tables(&self) -> Vec<&'static str> {
        tables::all()
    }

    fn apply(
        &mut self,
        batch: &mut Batch<'_>,
        request: OmRequest,
        time: LogTime,
    ) -> Result<OmResponse, TableError> {
        let mut tx = Tx::after(&*batch, time.unix_ms)?;
        let response = apply(&mut tx, request)?;
        tx.into_writes().into_batch(batch)?;
        Ok(response)
    }
}

/// Applies `request` to `tx`; a refused one leaves `tx` empty.
pub(crate) fn apply(tx: &mut Tx<'_>, request: OmRequest) -> Result<OmResponse, TableError> {
    let envelope = Envelope::of(&request);
    let row = Type::try_from(request.cmd_type).ok().and_then(table::find);
    let done = match row.map(|row| row.answer) {
        Some(Answer::Write(_, apply) | Answer::Internal(apply) | Answer::ServerLogged(apply)) => {
            requests::gate(tx.db(), request.cmd_type).and_then(|()| apply(tx, request))
        }
        _ => Err(Refusal::new(OmStatus::InternalError, "the log holds a request that is not for the log")),
    };
    envelope.answer(done.inspect_err(|_| tx.clear()))
}

/// What of a request its response repeats.
pub(crate) struct Envelope {
    cmd_type: i32,
    trace_id: Option<String>,
}

impl Envelope {
    pub(crate) fn of(request: &OmRequest) -> Envelope {
        Envelope { cmd_type: request.cmd_type, trace_id: request.trace_id.clone() }
    }

    pub(crate) fn cmd_type(&self) -> i32 {
        self.cmd_type
    }

    /// The response to send for `done`.
    pub(crate) fn answer(self, done: Result<OmResponse, Refusal>) -> Result<OmResponse, TableError> {
        let mut response = match done {
            Ok(response) => response,
            Err(Refusal::Status { status, message }) => OmResponse {
                success: Some(false),
                status: status.number(),
                message: Some(message),
                ..OmResponse::default()
            },
            Err(Refusal::Table(damaged)) => return Err(damaged),
        };
        response.cmd_type = self.cmd_type;
        response.trace_id = Some(self.trace_id.unwrap_or_default());
        response.success.get_or_insert(true);
        if response.status == 0 {
            response.status = OmStatus::Ok.number();
        }
        Ok(response)
    }
}
