//! Answers to reads that come again, kept on the shard whose connections they leave by.
//!
//! A read goes to its container's home shard and back, copies from the page cache and looks at every checksum. What is read
//! over and over pays for that once: the whole answer is kept, verified and framed, for whoever asks the same here.
//!
//! Shape   a question is the request as it was received. Its answer is kept when it is heard again before the others that
//!         came between would have filled the room: what is read once, or in rounds that are longer than the room, costs no copy
//!         and pushes nothing out. The answer that was asked for least lately goes first.
//! Law     an answer is given only while its [`Lease`] holds, which ends before a change of the block is acknowledged. Bytes that
//!         nobody verified are not kept.
//! Units   bytes. The room bounds what is kept and what was let go while it was still on its way out.
//! Source  docs/performance/datanode.md, 'Second reads'.

use super::{ask_home, ask_home_leased};
use crate::block::lists::Lease;
use crate::commands::Request;
use crate::store::{Leased, Node};
use allotrope_io::Shard;
use allotrope_proto::Rope;
use allotrope_proto::bulk::{grpc_message, weave};
use allotrope_proto::container::{Result as WireResult, Type};
use bytes::{Buf, Bytes};
use lru::LruCache;
use std::cell::{Cell, RefCell};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The commands whose answers depend on one block and on nothing else. Once tokens are looked at, that comes before what is kept.
const KEPT: [Type; 3] = [Type::GetBlock, Type::ReadChunk, Type::GetSmallFile];
/// How a request begins: `cmdType = 1`, a number below 128.
const HEAD: [u8; 2] = [1 << 3, 0];
/// The longest question that is remembered.
const QUESTION_MAX: usize = 16 << 10;
/// Questions that a shard remembers of those whose answers it does not keep.
const HEARD_MAX: usize = 8192;
/// What an answer costs besides its bytes and its question's.
const OVERHEAD: usize = 256;
/// An answer takes this part of the room at the most.
const SHARE_MAX: usize = 4;

#[expect(clippy::disallowed_types, reason = "it tells questions apart; nothing is gone through in its order")]
type Hashes = std::hash::RandomState;

/// What one shard keeps.
pub(crate) struct Answers {
    room: usize,
    /// All that is kept, and what was let go and is still being sent.
    held: Arc<AtomicUsize>,
    /// What of it is kept.
    kept_len: Cell<usize>,
    kept: RefCell<LruCache<Vec<u8>, Kept>>,
    heard: RefCell<Heard>,
    hashes: Hashes,
}

struct Kept {
    framed: Bytes,
    lease: Lease,
    /// What it counts.
    len: usize,
}

/// The questions that were heard last, by their hashes, and what their answers would take.
struct Heard {
    questions: LruCache<u64, usize>,
    len: usize,
}

/// The bytes of an answer: they count until the last who sends them is done.
struct Held {
    framed: Vec<u8>,
    len: usize,
    held: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.framed
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.fetch_sub(self.len, Relaxed);
    }
}

impl Answers {
    /// Room for `room` bytes; 0 keeps nothing.
    pub(crate) fn with_room(room: usize) -> Answers {
        Answers {
            room,
            held: Arc::default(),
            kept_len: Cell::new(0),
            kept: RefCell::new(LruCache::unbounded()),
            heard: RefCell::new(Heard { questions: LruCache::unbounded(), len: 0 }),
            hashes: Hashes::new(),
        }
    }

    /// A message as it was received, if it is a question whose answer may be kept.
    pub(super) fn question(&self, frames: &Rope) -> Option<Bytes> {
        if self.room == 0 || frames.len() > QUESTION_MAX {
            return None;
        }
        // Whoever writes another field before the command is answered all the same, each time anew.
        let mut head = frames.clone_head(HEAD.len());
        let head = [head.try_get_u8().ok()?, head.try_get_u8().ok()?];
        let asks = KEPT.iter().any(|kind| head == [HEAD[0], *kind as u8]);
        asks.then(|| frames.clone().join())
    }

    /// The answer to a request that is not kept, framed; from now on it may be.
    pub(super) async fn answer(
        &self,
        shard: &Shard,
        node: &Node,
        question: Option<Bytes>,
        request: Request,
    ) -> Rope {
        // Bytes that nobody verified may be damaged. A question with a trace of its own does not come again; clients that follow
        // none send an empty one.
        let may_keep = node.config.verify_reads && request.message.trace_id().is_empty();
        let Some(question) = question.filter(|_| may_keep) else {
            return grpc_message(weave(ask_home(shard, node, request).await));
        };
        let again = self.comes_again(&question);
        let Leased { response, lease } = match again {
            true => ask_home_leased(shard, node, request).await,
            false => ask_home(shard, node, request).await.into(),
        };
        let lease = lease.filter(|_| response.message.result == i32::from(WireResult::Success));
        let framed = grpc_message(weave(response));
        match lease {
            Some(lease) => self.keep(&question, &framed, lease).map_or(framed, Rope::from),
            None => {
                self.heard(&question, framed.len());
                framed
            }
        }
    }

    /// The answer, framed, if it is kept and still true.
    pub(super) fn find(&self, question: &[u8]) -> Option<Bytes> {
        let mut kept = self.kept.borrow_mut();
        let found = kept.get(question)?;
        if found.lease.holds() {
            return Some(found.framed.clone());
        }
        if let Some(stale) = kept.pop(question) {
            self.kept_len.update(|len| len - stale.len);
        }
        None
    }

    /// Whether the question was heard lately. Then it is not remembered any more: its answer is to be kept.
    fn comes_again(&self, question: &[u8]) -> bool {
        let mut heard = self.heard.borrow_mut();
        let known = heard.questions.pop(&self.hashes.hash_one(question));
        heard.len -= known.unwrap_or(0);
        known.is_some()
    }

    /// Remembers a question whose answer has `len` bytes, and forgets those that others have pushed out.
    fn heard(&self, question: &[u8], len: usize) {
        let len = len + question.len() + OVERHEAD;
        let mut heard = self.heard.borrow_mut();
        let before = heard.questions.put(self.hashes.hash_one(question), len);
        heard.len = heard.len + len - before.unwrap_or(0);
        while heard.len > self.room || heard.questions.len() > HEARD_MAX {
            let Some((_, oldest)) = heard.questions.pop_lru() else { break };
            heard.len -= oldest;
        }
    }

    /// Keeps a copy of an answer, if there is room beside what is being sent.
    fn keep(&self, question: &[u8], framed: &Rope, lease: Lease) -> Option<Bytes> {
        let len = framed.len() + question.len() + OVERHEAD;
        let leaving = self.held.load(Relaxed).saturating_sub(self.kept_len.get());
        if len > self.room / SHARE_MAX || leaving + len > self.room {
            return None;
        }
        let mut kept = self.kept.borrow_mut();
        while self.held.load(Relaxed) + len > self.room {
            // What is being sent as well stays held: nothing may be left to let go.
            let (_, oldest) = kept.pop_lru()?;
            self.kept_len.update(|len| len - oldest.len);
        }
        self.held.fetch_add(len, Relaxed);
        self.kept_len.update(|all| all + len);
        let mut copy = vec![0; framed.len()];
        framed.copy_to(&mut copy);
        let framed = Bytes::from_owner(Held { framed: copy, len, held: self.held.clone() });
        if let Some(before) = kept.put(question.to_vec(), Kept { framed: framed.clone(), lease, len }) {
            self.kept_len.update(|len| len - before.len);
        }
        Some(framed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::lists::Lists;
    use allotrope_proto::container::ContainerCommandRequestProto;
    use allotrope_types::{ContainerId, LocalId};
    use prost::Message;

    const C: ContainerId = ContainerId::new(1);
    const ROOM: usize = 64 << 10;

    /// A block's lease, and what ends it.
    fn lease(lists: &mut Lists, local: u64) -> Lease {
        lists.keep(C, LocalId::new(local), Default::default());
        lists.lease(C, LocalId::new(local)).unwrap()
    }

    fn framed(len: usize) -> Rope {
        Rope::from(Bytes::from(vec![7; len]))
    }

    /// A request of that kind, as it comes over the wire.
    fn message(kind: Type, node: &str) -> Bytes {
        let datanode_uuid = node.into();
        let message =
            ContainerCommandRequestProto { cmd_type: kind.into(), datanode_uuid, ..Default::default() };
        message.encode_to_vec().into()
    }

    #[test]
    fn only_reads_are_questions_however_their_frames_were_cut() {
        let answers = Answers::with_room(ROOM);
        let ask = |kind: Type| answers.question(&message(kind, "").into());
        assert_eq!(ask(Type::ReadChunk).as_deref(), Some(&message(Type::ReadChunk, "")[..]));
        assert!(ask(Type::GetBlock).is_some() && ask(Type::GetSmallFile).is_some());
        assert!(ask(Type::GetBlock) != ask(Type::GetSmallFile));
        for changes in
            [Type::PutBlock, Type::WriteChunk, Type::CloseContainer, Type::ListBlock, Type::ReadBlock]
        {
            assert_eq!(ask(changes), None, "{changes:?}");
        }
        let whole = message(Type::GetBlock, "node");
        for cut in 0..=whole.len() {
            let frames: Rope = [whole.slice(..cut), whole.slice(cut..)].into_iter().collect();
            assert_eq!(answers.question(&frames), Some(whole.clone()));
        }
        assert_eq!(answers.question(&Rope::new()), None);
        assert_eq!(answers.question(&Rope::from(Bytes::from_static(&[8]))), None);
        assert_eq!(answers.question(&message(Type::GetBlock, &"n".repeat(QUESTION_MAX)).into()), None);
        assert_eq!(Answers::with_room(0).question(&whole.into()), None);
    }

    #[test]
    fn an_answer_is_given_while_its_lease_holds() {
        let (answers, mut lists) = (Answers::with_room(ROOM), Lists::default());
        let question = b"question".to_vec();
        answers.keep(&question, &framed(100), lease(&mut lists, 1)).unwrap();
        assert_eq!(answers.find(&question).map(|found| found.len()), Some(100));
        lists.let_go(C, LocalId::new(1));
        assert_eq!(answers.find(&question), None);
        assert_eq!((answers.held.load(Relaxed), answers.kept_len.get()), (0, 0));
    }

    #[test]
    fn what_is_kept_and_what_is_still_being_sent_stay_within_the_room() {
        let (answers, mut lists) = (Answers::with_room(ROOM), Lists::default());
        let held = || answers.held.load(Relaxed);
        let mut keep = |n: u64| {
            let lease = lease(&mut lists, n);
            answers.keep(&n.to_be_bytes(), &framed(10 << 10), lease)
        };
        for n in 0..100 {
            assert!(keep(n).is_some());
            assert!(held() <= ROOM && held() == answers.kept_len.get());
        }
        let known = |n: u64| answers.find(&n.to_be_bytes()).is_some();
        assert!(known(99) && known(95) && !known(90));
        // Asked for again, the oldest outlives the next.
        assert!(known(94) && keep(100).is_some() && known(94) && !known(96));
        // Readers that do not read hold what was let go: no more is kept until they are gone.
        let sending: Vec<_> = (200..300).map_while(&mut keep).collect();
        assert!(sending.len() < 10 && held() <= ROOM, "{} and {}", sending.len(), held());
        drop(sending);
        assert!(keep(300).is_some() && held() <= ROOM);
        assert!(answers.keep(&[1], &framed(ROOM / 2), lease(&mut Lists::default(), 1)).is_none());
    }

    #[test]
    fn what_comes_again_before_the_room_would_be_full_is_worth_keeping() {
        let answers = Answers::with_room(ROOM);
        let question = |n: u64| n.to_be_bytes();
        let heard = |n: u64| answers.heard(&question(n), 10 << 10);
        heard(1);
        assert!(answers.comes_again(&question(1)) && !answers.comes_again(&question(1)));
        (1..=5).for_each(heard);
        assert!((1..=5).all(|n| answers.comes_again(&question(n))));
        // Rounds that are longer than the room: nothing of them is kept.
        for n in 0..100 {
            assert!(!answers.comes_again(&question(n % 10)), "{n}");
            heard(n % 10);
        }
        assert!(answers.heard.borrow().len <= ROOM);
        // Small answers are bounded by their number.
        let many = Answers::with_room(1 << 30);
        (0..2 * HEARD_MAX as u64).for_each(|n| many.heard(&question(n), 1));
        assert_eq!(many.heard.borrow().questions.len(), HEARD_MAX);
    }
}
