//! From a message and its bulk bytes to the pieces that go on the wire.

use bytes::{Buf, Bytes};

use super::{BulkMessage, Bulky, Inside, Place};
use crate::Rope;
use crate::varint::{put_varint, varint};

/// Puts a message together: its own bytes newly written, the bulk bytes as they are, shared.
///
/// # Panics
/// If `bulk` does not have one rope for each bulk field that is present and empty in the message: a caller's mistake.
pub fn weave<M: BulkMessage>(bulky: Bulky<M>) -> Rope {
    let mut weaver = Weaver { bulk: bulky.bulk.into_iter() };
    let woven = weaver.level(&bulky.message.encode_to_vec(), M::PLACES);
    assert!(weaver.bulk.next().is_none(), "there is one rope for each bulk field that is present");
    woven.finish()
}

/// Pieces in the making: what is written goes to `open` until a rope comes.
#[derive(Default)]
struct Woven {
    done: Rope,
    open: Vec<u8>,
}

impl Woven {
    fn len(&self) -> usize {
        self.done.len() + self.open.len()
    }

    fn push_rope(&mut self, rope: Rope) {
        self.done.push(Bytes::from(std::mem::take(&mut self.open)));
        self.done.append(rope);
    }

    /// Writes the length of `inner`, then `inner`.
    fn push_inner(&mut self, inner: Woven) {
        put_varint(inner.len() as u64, &mut self.open);
        if inner.done.is_empty() {
            self.open.extend(inner.open);
            return;
        }
        self.push_rope(inner.done);
        self.open = inner.open;
    }

    fn finish(mut self) -> Rope {
        self.done.push(Bytes::from(self.open));
        self.done
    }
}

struct Weaver {
    bulk: std::vec::IntoIter<Rope>,
}

impl Weaver {
    /// One message, `head`, which prost has just written.
    fn level(&mut self, mut head: &[u8], places: &[Place]) -> Woven {
        const OURS: &str = "prost writes whole messages";
        let mut woven = Woven::default();
        while head.has_remaining() {
            let start = head;
            let tag = varint(&mut head).expect(OURS);
            let place = places.iter().find(|place| u64::from(place.number) == tag >> 3);
            let len = match tag & 7 {
                0 => {
                    varint(&mut head).expect(OURS);
                    0
                }
                1 => 8,
                5 => 4,
                _ => usize::try_from(varint(&mut head).expect(OURS)).expect(OURS),
            };
            let value = &head[..len];
            head.advance(len);
            match place.map(|place| &place.inside) {
                Some(Inside::Bulk | Inside::Repeated) if value.is_empty() => {
                    put_varint(tag, &mut woven.open);
                    let rope = self.next_rope();
                    put_varint(rope.len() as u64, &mut woven.open);
                    woven.push_rope(rope);
                }
                Some(Inside::Message(_, places)) => {
                    put_varint(tag, &mut woven.open);
                    woven.push_inner(self.level(value, places));
                }
                Some(Inside::Proto3(_, place)) => {
                    put_varint(tag, &mut woven.open);
                    let mut inner = self.level(value, std::slice::from_ref(*place));
                    let rope =
                        if value.is_empty() { self.bulk.next().unwrap_or_default() } else { Rope::new() };
                    if !rope.is_empty() {
                        put_varint(u64::from(place.number) << 3 | 2, &mut inner.open);
                        put_varint(rope.len() as u64, &mut inner.open);
                        inner.push_rope(rope);
                    }
                    woven.push_inner(inner);
                }
                _ => woven.open.extend_from_slice(&start[..start.len() - head.len()]),
            }
        }
        woven
    }

    fn next_rope(&mut self) -> Rope {
        self.bulk.next().expect("there is one rope for each bulk field that is present")
    }
}
