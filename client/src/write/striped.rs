//! Block groups: stripes of cells, each with parity, on as many datanodes as a stripe has cells.
//!
//! Shape   a stripe is gathered, encoded with its checksums in one pass, and written to all its datanodes at once. Several stripes
//!         are on their way: each datanode takes its cells in order, whatever the others do, and what all have taken is put while
//!         later cells are written. Held are the stripes that no PutBlock covers: when a datanode fails they go, whole, to a new
//!         group.
//! Units   bytes; the stripes held, parity included, fit the write window, but at least two are; one more is gathered.
//! Source  cells, names, offsets, blockGroupLen and stripeChecksum are those of Ozone's client.

mod group;
mod stripe;

use std::collections::VecDeque;
use std::sync::Arc;

use allotrope_ec::{Codec, Layout};
use allotrope_proto::Rope;
use allotrope_types::EcConfig;

use super::Blocks;
use crate::client::Client;
use crate::config::Config;
use crate::datanode::DatanodeError;
use crate::error::Error;
use crate::task::Task;
use group::OpenGroup;
use stripe::{Stripe, Summing};

/// Stripes that are held however small the window is: one being put, one being written.
const HELD_MIN: u64 = 2;

/// What a round to several datanodes came to: nothing, or the failures.
type Round = Result<(), Vec<DatanodeError>>;

#[derive(Debug)]
pub(super) struct StripedWriter {
    layout: Layout,
    codec: Codec,
    summing: Summing,
    gathered: Rope,
    /// Stripes held before the writer waits.
    held_max: usize,
    /// Stripes that no PutBlock covers, in order; the first `written` lie in the open group's files.
    held: VecDeque<Arc<Stripe>>,
    written: usize,
    open: Option<OpenGroup>,
    /// The rounds that write the stripes behind them, in order.
    writing: VecDeque<Task<Round>>,
    /// A round of PutBlocks, and how many of the held stripes it covers.
    putting: Option<(usize, Task<Round>)>,
}

impl StripedWriter {
    pub(super) fn new(config: &Config, ec: EcConfig) -> StripedWriter {
        let layout = Layout::new(ec);
        let stripe_len = (layout.scheme().cells() * layout.cell_len()) as u64;
        let held_max = (config.write_window.as_u64() / stripe_len).max(HELD_MIN);
        StripedWriter {
            layout,
            codec: Codec::new(layout.scheme()),
            summing: Summing::new(config.checksum),
            gathered: Rope::new(),
            held_max: usize::try_from(held_max).unwrap_or(usize::MAX),
            held: VecDeque::new(),
            written: 0,
            open: None,
            writing: VecDeque::new(),
            putting: None,
        }
    }

    pub(super) async fn write(
        &mut self,
        client: &Client,
        blocks: &mut Blocks,
        bytes: Rope,
    ) -> Result<(), Error> {
        self.gathered.append(bytes);
        let stripe_len = usize::try_from(self.layout.stripe_len()).expect("a stripe fits memory");
        while let Some(stripe) = self.gathered.split_to(stripe_len) {
            self.hold(stripe);
            self.drive(client, blocks, self.held_max).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(&mut self, client: &Client, blocks: &mut Blocks) -> Result<(), Error> {
        let rest = std::mem::take(&mut self.gathered);
        if !rest.is_empty() {
            self.hold(rest);
        }
        self.drive(client, blocks, 0).await?;
        if let Some(group) = self.open.take() {
            group.close(blocks);
        }
        Ok(())
    }

    fn hold(&mut self, data: Rope) {
        self.held.push_back(Arc::new(Stripe::encode(self.layout, &self.codec, self.summing, data)));
    }

    /// Sends what is held, to one group after the other, until at most `held_max` stripes are not safe yet.
    async fn drive(&mut self, client: &Client, blocks: &mut Blocks, held_max: usize) -> Result<(), Error> {
        loop {
            if self.open.is_none() {
                if self.held.is_empty() {
                    return Ok(());
                }
                self.open = Some(OpenGroup::at(blocks.next(client).await?, blocks.key(), self.layout)?);
            }
            self.start_rounds(client);
            if self.held.len() <= held_max {
                return Ok(());
            }
            if let Err(errors) = self.finish_round(blocks).await {
                self.abandon(client, blocks, errors).await?;
            }
        }
    }

    /// Starts to write every stripe that the group has room for, and to put what was written when nothing is being put.
    fn start_rounds(&mut self, client: &Client) {
        let Some(group) = &mut self.open else { return };
        if self.putting.is_none() && self.written > 0 {
            self.putting = Some((self.written, group.put(client)));
        }
        while !group.is_full()
            && let Some(stripe) = self.held.get(self.written + self.writing.len())
        {
            self.writing.push_back(group.write(client, stripe.clone()));
        }
    }

    /// Waits for the round of puts, or the first of writes. A full group whose last stripe is put is closed.
    async fn finish_round(&mut self, blocks: &mut Blocks) -> Round {
        let group = self.open.as_mut().expect("rounds run in an open group");
        let put = async {
            match &mut self.putting {
                Some((_, putting)) => putting.await,
                None => std::future::pending().await,
            }
        };
        let write = async {
            match self.writing.front_mut() {
                Some(writing) => writing.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            outcome = put => {
                let (count, _) = self.putting.take().expect("it has just ended");
                outcome?;
                group.put_done();
                blocks.progressed();
                self.held.drain(..count);
                self.written -= count;
                if group.is_full() && self.written == 0 && self.writing.is_empty() {
                    self.open.take().expect("it is the group above").close(blocks);
                }
            }
            outcome = write => {
                self.writing.pop_front();
                outcome?;
                group.took(&self.held[self.written]);
                self.written += 1;
            }
        }
        Ok(())
    }

    /// Gives the group up at its last put stripe. A put that is still out may yet succeed; its stripes are then safe
    /// and are not sent again.
    async fn abandon(
        &mut self,
        client: &Client,
        blocks: &mut Blocks,
        mut errors: Vec<DatanodeError>,
    ) -> Result<(), Error> {
        self.writing.clear();
        let mut group = self.open.take().expect("rounds fail in an open group");
        if let Some((count, putting)) = self.putting.take() {
            match putting.await {
                Ok(()) => {
                    group.put_done();
                    self.held.drain(..count);
                }
                Err(more) => errors.extend(more),
            }
        }
        self.written = 0;
        let location = group.location().clone();
        group.close(blocks);
        blocks.failed(client, &location, errors)
    }
}
