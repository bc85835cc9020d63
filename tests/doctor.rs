//! `allotrope doctor` and `allotrope version`: what they say of a machine, of its data directories, and of a container that
//! forbids io_uring.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files")]

use std::process::{Command, Output, Stdio};

use allotrope_io::Back;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

fn allotrope(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_allotrope")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_machine_and_a_directory_that_serve_are_told_line_by_line() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let set = format!("--set=hdds.datanode.dir={}", dir.path().display());
    let output = allotrope(&["doctor", &set]);
    let text = told(&output);
    assert!(output.status.success(), "{text}");
    let speed = text.lines().find(|line| line.contains(" GB/s, a page is durable in ")).expect(&text);
    assert!(speed.contains(&format!("{} writes ", dir.path().display())), "{speed}");
    for measured in ["erasure codes by isa-l", "CRC-32C by ", "clock"] {
        assert!(text.contains(measured), "{measured}: {text}");
    }
    assert!(text.starts_with(&format!("io back     {}\n", Back::of_this_machine())), "{text}");
    let line = text.lines().find(|line| line.contains(dir.path().to_str().unwrap())).unwrap();
    assert!(
        line.contains("(a directory that takes files, with O_DIRECT aligned to at most 4 KiB)"),
        "{line}"
    );
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "it leaves nothing behind");
}

#[test]
fn a_directory_that_does_not_serve_ends_with_what_to_change_and_exit_code_1() {
    let output = allotrope(&["doctor", "--quick", "--set=hdds.datanode.dir=/nowhere/hdds"]);
    assert_eq!(output.status.code(), Some(1));
    let text = told(&output);
    assert!(text.contains("broken    /nowhere/hdds does not exist"), "{text}");
    assert!(text.contains("          try: mkdir -p /nowhere/hdds"), "{text}");
    let output = allotrope(&["doctor", "--quick", "--json", "--set=hdds.datanode.dir=/nowhere/hdds"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["back"], Back::of_this_machine().to_string());
    let broken =
        report["findings"].as_array().unwrap().iter().find(|finding| finding["found"] == "broken").unwrap();
    assert_eq!(broken["measured"], "/nowhere/hdds does not exist");
    assert_eq!(broken["advice"], "mkdir -p /nowhere/hdds, or correct hdds.datanode.dir");
}

#[test]
fn settings_that_trade_safety_for_speed_are_named() {
    let text = told(&allotrope(&[
        "doctor",
        "--quick",
        "--set=allotrope.datanode.verify-reads=false",
        "--set=allotrope.datanode.durability=page-cache",
    ]));
    assert!(text.contains("weaker    allotrope.datanode.verify-reads=false: "), "{text}");
    assert!(text.contains("weaker    allotrope.datanode.durability=page-cache: "), "{text}");
    let text = told(&allotrope(&["doctor", "--quick"]));
    assert!(!text.contains("verify-reads") && !text.contains("page-cache"), "{text}");
}

#[test]
fn buffers_that_are_not_registered_are_named() {
    // Root may lock as much as it likes, unless it lacks the capability.
    let drop: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock"],
        false => &[],
    };
    let mut command = Command::new("prlimit");
    command
        .arg("--memlock=8388608")
        .args(drop)
        .arg(env!("CARGO_BIN_EXE_allotrope"))
        .args(["doctor", "--quick"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = told(&output);
    if Back::of_this_machine() == Back::Uring {
        assert!(text.contains("slower    memlock is 8192 KiB and the shards' buffers are "), "{text}");
        assert!(text.contains("they are not registered with the kernel"), "{text}");
        assert!(text.contains("try: ulimit -l unlimited"), "{text}");
    }
}

#[test]
fn without_a_directory_to_look_at_it_says_so() {
    let output = allotrope(&["doctor", "--quick"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("hdds.datanode.dir is not set"));
}

#[test]
fn the_version_names_the_back_and_the_kernels_in_use() {
    let text = told(&allotrope(&["version"]));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], concat!("allotrope ", env!("CARGO_PKG_VERSION")));
    assert_eq!(lines[1], format!("io back     {}", Back::of_this_machine()));
    assert_eq!(lines[2], "EC kernel   isa-l");
    assert!(lines[3].starts_with("CRC kernel  ") && lines[3].len() > 12, "{text}");
}

#[test]
fn a_container_that_forbids_io_uring_is_told_how_to_allow_it() {
    // The filter holds for this thread and for what it starts, as a container runtime's does.
    let output = std::thread::spawn(|| {
        const IO_URING_SETUP: i64 = 425;
        let calls = [(IO_URING_SETUP, vec![])].into_iter().collect();
        let (allow, refuse) = (SeccompAction::Allow, SeccompAction::Errno(1));
        let filter = SeccompFilter::new(calls, allow, refuse, std::env::consts::ARCH.try_into().unwrap());
        let program: BpfProgram = filter.unwrap().try_into().unwrap();
        seccompiler::apply_filter(&program).unwrap();
        allotrope(&["doctor", "--quick"])
    });
    let output = output.join().unwrap();
    let text = told(&output);
    assert!(output.status.success(), "the portable back serves: {text}");
    assert!(text.starts_with("io back     portable\n"), "{text}");
    assert!(
        text.contains("slower    a seccomp filter forbids io_uring; shards run on the portable back"),
        "{text}"
    );
    assert!(text.contains("try: run the container with a seccomp profile"), "{text}");
}
