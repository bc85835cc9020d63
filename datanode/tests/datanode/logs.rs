//! What the datanode logs: the ids and the request's trace as fields, and what repeats without end now and then only.

use crate::ask::*;
use crate::world::World;
use allotrope_types::{ContainerId, DatanodeResult, LocalId};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines since the last call, of those that say `what`.
    fn lines(&self, what: &str) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    }
}

#[test]
fn damage_is_logged_with_the_readers_trace_and_not_once_a_read() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(move || writer.clone())
        .with_max_level(tracing::Level::INFO);
    tracing::subscriber::with_default(subscriber.finish(), || {
        let mut world = World::seeded(0);
        world.boot();
        world.put(1, 7, &bytes(1, 10_000));
        let file = world.node().volumes()[0].paths().container(ContainerId::new(1)).block(LocalId::new(7));
        assert!(world.disk.flip_bit(file, 5000, 1));
        let read = |trace: &str| {
            let mut request = read_chunk(&world.name(), id(1, 7), 0, 10_000);
            request.message.trace_id = Some(trace.into());
            assert_eq!(world.refused(request), DatanodeResult::ChecksumMismatch);
        };
        let said = "bytes on the disk are not those that were written";
        (1..=3).for_each(|n| read(&format!("a1b2:{n}")));
        let lines = log.lines(said);
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in ["\"trace\":\"a1b2:1\"", "\"container\":\"1\"", "\"at\":0", "\"left_out\":0"] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
        let clock = world.sim().clock();
        world.sim().run(async move { clock.sleep(Duration::from_secs(11)).await });
        read("a1b2:4");
        let lines = log.lines(said);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("\"trace\":\"a1b2:4\"") && lines[0].contains("\"left_out\":2"),
            "{}",
            lines[0]
        );
    });
}
