//! Shards on both real backs: tasks, panics, messages, time, stop.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod common;

use allotrope_io::{AskError, BlockingError, Class, Mesh, Refused, Reply, ShardId, Shards, TaskDied};
use common::{backs, on_each_back};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

#[test]
fn a_panic_ends_its_task_and_leaves_the_shard_at_work() {
    for shards in backs(1) {
        let died = shards.run_on(ShardId(0), "faulty", |_| async { panic!("on purpose") }).unwrap();
        assert_eq!(died.wait(), Err::<(), _>(TaskDied), "{}", shards.back());
        let lives = shards.run_on(ShardId(0), "next", |shard| async move { shard.id() }).unwrap();
        assert_eq!(lives.wait(), Ok(ShardId(0)));
        assert_eq!(shards.counters(ShardId(0)).tasks_panicked.load(Relaxed), 1);
        assert!(shards.stop(Duration::from_secs(5)).is_clean());
    }
}

#[test]
fn a_panic_in_blocking_work_answers_its_caller() {
    on_each_back(|shard| async move {
        let failed = shard.blocking(|| panic!("no such volume")).await;
        assert_eq!(failed, Err::<(), _>(BlockingError::Panicked("no such volume".into())));
        assert_eq!(shard.blocking(|| 6 * 7).await, Ok(42));
    });
}

#[test]
fn blocking_work_does_not_hold_the_shard() {
    on_each_back(|shard| async move {
        let other = shard.clone();
        let began = Instant::now();
        let slow = shard.spawn("slow", async move {
            other.blocking(|| std::thread::sleep(Duration::from_millis(200))).await
        });
        shard.clock().sleep(Duration::from_millis(5)).await;
        assert!(began.elapsed() < Duration::from_millis(150));
        slow.await.unwrap().unwrap();
    });
}

#[test]
fn a_task_that_holds_its_shard_is_counted() {
    for shards in backs(1) {
        let held = shards.run_on(ShardId(0), "greedy", |_| async {
            std::thread::sleep(Duration::from_millis(20));
        });
        held.unwrap().wait().unwrap();
        // The result leaves the task before its poll is over.
        assert!(shards.stop(Duration::from_secs(5)).is_clean());
        assert_eq!(shards.counters(ShardId(0)).stalls.load(Relaxed), 1, "{}", shards.back());
    }
}

enum Message {
    Double(u32, Reply<u32>),
}

#[test]
fn a_question_crosses_shards_and_comes_back() {
    for shards in backs(2) {
        let (mesh, inboxes) = Mesh::new(2, 8);
        for (id, mut inbox) in shards.ids().zip(inboxes) {
            let serve = shards.run_on(id, "serve", move |_| async move {
                while let Some(Message::Double(n, reply)) = inbox.next().await {
                    reply.send(n * 2);
                }
            });
            drop(serve.unwrap());
        }
        let there = mesh.clone();
        let asked = shards.run_on(ShardId(0), "ask", move |_| async move {
            let mut sum = 0;
            for n in 0..1000 {
                sum += there.ask(ShardId(1), |reply| Message::Double(n, reply)).await.unwrap();
            }
            sum
        });
        assert_eq!(asked.unwrap().wait(), Ok(999_000));
        // And from a tokio thread.
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = tokio.block_on(mesh.ask(ShardId(1), |reply| Message::Double(21, reply)));
        assert_eq!(answer, Ok(42));
        drop(mesh);
        assert!(shards.stop(Duration::from_secs(5)).is_clean(), "{}", shards.back());
    }
}

#[test]
fn a_full_inbox_answers_busy_at_once_and_gives_the_message_back() {
    let (mesh, inboxes) = Mesh::new(1, 2);
    mesh.send(ShardId(0), "a").unwrap();
    mesh.send(ShardId(0), "b").unwrap();
    assert_eq!(mesh.send(ShardId(0), "c"), Err(Refused::Busy("c")));
    drop(inboxes);
    assert_eq!(mesh.send(ShardId(0), "d"), Err(Refused::Gone("d")));
}

#[test]
fn an_unanswered_question_ends_when_its_holder_does() {
    for shards in backs(1) {
        let (mesh, mut inboxes) = Mesh::<Reply<()>>::new(1, 1);
        let mut inbox = inboxes.remove(0);
        let dropped = shards.run_on(ShardId(0), "drop", move |_| async move { drop(inbox.next().await) });
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(tokio.block_on(mesh.ask(ShardId(0), |reply| reply)), Err(AskError::Gone));
        dropped.unwrap().wait().unwrap();
        shards.stop(Duration::from_secs(5));
    }
}

#[test]
fn sleeps_and_deadlines_keep_time() {
    on_each_back(|shard| async move {
        let clock = shard.clock().clone();
        let began = clock.now();
        clock.sleep(Duration::from_millis(20)).await;
        assert!(clock.now().since(began) >= Duration::from_millis(20));
        let late = clock.timeout(Duration::from_millis(5), std::future::pending::<()>()).await;
        assert_eq!(late.unwrap_err().0, Duration::from_millis(5));
        assert_eq!(clock.timeout(Duration::from_secs(60), async { 1 }).await, Ok(1));
    });
}

#[test]
fn a_stop_lets_tasks_end_and_reports_those_that_do_not() {
    for shards in backs(2) {
        let polite = shards.run_on(ShardId(0), "polite", |shard| async move {
            shard.stopping().await;
            shard.clock().sleep(Duration::from_millis(10)).await;
            "saved"
        });
        let rude = shards.run_on(ShardId(1), "rude", |shard| async move {
            shard.clock().sleep(Duration::from_secs(3600)).await;
        });
        let rude = rude.unwrap();
        let began = Instant::now();
        let report = shards.stop(Duration::from_millis(300));
        assert!(began.elapsed() < Duration::from_secs(3), "{}", shards.back());
        assert_eq!(polite.unwrap().wait(), Ok("saved"));
        assert_eq!(report.tasks_dropped, [(ShardId(1), 1)], "{}", shards.back());
        assert_eq!(rude.wait(), Err(TaskDied));
        let late = shards.run_on(ShardId(0), "late", |_| async {});
        assert_eq!(late.err(), Some(AskError::Gone));
    }
}

/// Holds the shard for a moment, over and over, until told to stop; answers how often.
async fn burn(shard: allotrope_io::Shard, stop: std::rc::Rc<std::cell::Cell<bool>>) -> u64 {
    let mut turns = 0;
    while !stop.get() {
        let end = Instant::now() + Duration::from_micros(100);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        turns += 1;
        shard.yield_now().await;
    }
    turns
}

#[test]
fn each_class_gets_its_share_of_a_busy_core_on_both_backs() {
    for shards in backs(1) {
        let back = shards.back();
        let turns = shards.run_on(ShardId(0), "share", |shard| async move {
            let stop = std::rc::Rc::new(std::cell::Cell::new(false));
            let work = [Class::Foreground, Class::Replication, Class::Scrub]
                .map(|class| shard.spawn_in(class, "burn", burn(shard.clone(), stop.clone())));
            shard.clock().sleep(Duration::from_millis(400)).await;
            stop.set(true);
            let mut turns = Vec::new();
            for task in work {
                turns.push(task.await.unwrap() as f64);
            }
            turns
        });
        let turns = turns.unwrap().wait().unwrap();
        let (replication, scrub) = (turns[1] / turns[0], turns[2] / turns[0]);
        // A quarter and a twentieth, give or take: without shares each would have as much as the foreground.
        assert!((0.08..0.5).contains(&replication), "{back}: {turns:?}");
        assert!((0.005..0.2).contains(&scrub), "{back}: {turns:?}");
        assert!(shards.stop(Duration::from_secs(5)).is_clean(), "{back}");
    }
}

#[test]
fn work_behind_the_foreground_has_the_core_to_itself_when_that_rests() {
    for shards in backs(1) {
        let turns = shards.run_on(ShardId(0), "rest", |shard| async move {
            let stop = std::rc::Rc::new(std::cell::Cell::new(false));
            let scrub = shard.spawn_in(Class::Scrub, "burn", burn(shard.clone(), stop.clone()));
            shard.clock().sleep(Duration::from_millis(200)).await;
            stop.set(true);
            scrub.await.unwrap()
        });
        // 2000 if it had the machine as well.
        let turns = turns.unwrap().wait().unwrap();
        assert!(turns > 200, "{}: {turns}", shards.back());
        assert!(shards.stop(Duration::from_secs(5)).is_clean(), "{}", shards.back());
    }
}

#[test]
fn work_of_every_class_runs_and_a_busy_scrub_does_not_keep_the_foreground_out() {
    on_each_back(|shard| async move {
        let (inner, stop) = (shard.clone(), std::rc::Rc::new(std::cell::Cell::new(false)));
        let stopped = stop.clone();
        let scrub = shard.spawn_in(Class::Scrub, "scrub", async move {
            let mut turns = 0u64;
            while !stopped.get() {
                turns += 1;
                inner.yield_now().await;
            }
            turns
        });
        for _ in 0..20 {
            shard.clock().sleep(Duration::from_millis(1)).await;
        }
        let copy = shard.spawn_in(Class::Replication, "copy", async { 5 });
        assert_eq!(copy.await, Ok(5));
        stop.set(true);
        assert!(scrub.await.unwrap() > 0);
    });
}

#[test]
fn guests_share_their_hosts_threads_and_each_ends_alone() {
    for host in backs(2) {
        let [a, b] = ["a", "b"].map(|name| host.share(name, &[ShardId(1)], 1 << 20).unwrap());
        let thread =
            |of: &Shards, id| {
                of.run_on(id, "where", |shard| async move {
                    (std::thread::current().id(), shard.name().to_owned())
                })
            };
        let ((on_host, _), (on_a, name_a), (on_b, name_b)) = (
            thread(&host, ShardId(1)).unwrap().wait().unwrap(),
            thread(&a, ShardId(0)).unwrap().wait().unwrap(),
            thread(&b, ShardId(0)).unwrap().wait().unwrap(),
        );
        assert_eq!((on_a, on_b), (on_host, on_host), "{}", host.back());
        assert_eq!((name_a.as_str(), name_b.as_str()), ("a-0", "b-0"));

        let held = a.run_on(ShardId(0), "holds a buffer", |shard| async move {
            let _buf = shard.buffers().take(4096).await.unwrap();
            shard.clock().sleep(Duration::from_secs(3600)).await;
        });
        let held = held.unwrap();
        let (buffers, free) = (a.buffers(ShardId(0)), b.buffers(ShardId(0)).bytes_free());
        while buffers.bytes_free() == buffers.bytes_total() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let report = a.stop(Duration::ZERO);
        assert_eq!((report.tasks_dropped, report.stuck), (vec![(ShardId(0), 1)], vec![]));
        assert_eq!(held.wait(), Err(TaskDied));
        assert_eq!(buffers.bytes_free(), buffers.bytes_total(), "its buffers are back");
        assert_eq!(a.run_on(ShardId(0), "late", |_| async {}).unwrap_err(), AskError::Gone);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let written = b.run_on(ShardId(0), "goes on", move |shard| async move {
            shard.disk().replace(&path, b"unharmed").await.unwrap();
            std::fs::read(path).unwrap()
        });
        assert_eq!(written.unwrap().wait().unwrap(), b"unharmed");
        assert_eq!(b.buffers(ShardId(0)).bytes_free(), free);
        assert!(b.stop(Duration::from_secs(5)).is_clean());
        assert!(host.stop(Duration::from_secs(5)).is_clean());
    }
}

#[test]
fn guests_end_with_their_host() {
    for host in backs(1) {
        let guests = host.share("guest", &[ShardId(0)], 1 << 20).unwrap();
        let held = guests
            .run_on(ShardId(0), "long", |shard| async move {
                shard.clock().sleep(Duration::from_secs(3600)).await
            })
            .unwrap();
        host.stop(Duration::ZERO);
        assert_eq!(held.wait(), Err(TaskDied), "{}", host.back());
        assert!(guests.stop(Duration::from_secs(5)).stuck.is_empty());
    }
}
