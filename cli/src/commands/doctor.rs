//! `allotrope doctor`: what this machine lets a datanode do, and what to change where that is less than it could be.
//!
//! Prints what is in use, then one line a finding: how bad, what was measured, what is expected; `try:` says what to change.
//! Ends with exit code 1 if something does not work at all.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use allotrope_io::{Back, DiskSpeed, Probe, ProbeLine, Severity};
use clap::Args;
use serde_json::{Value, json};

use super::version::{in_use, print_in_use};
use crate::config::Settings;

/// What measuring all disks takes.
const MEASURING: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Leave out the five seconds in which the disks' throughput and flushes are measured.
    #[arg(long)]
    quick: bool,
}

/// One line of the report.
struct Finding {
    /// `ok`, `slower`, `weaker` or `broken`.
    found: String,
    measured: String,
    expected: String,
    advice: Option<String>,
}

impl From<ProbeLine> for Finding {
    fn from(line: ProbeLine) -> Finding {
        let ProbeLine { severity, text, expected, advice } = line;
        Finding { found: severity.to_string(), measured: text, expected, advice }
    }
}

impl Finding {
    fn new(found: &str, measured: impl Into<String>, expected: &str, advice: Option<&str>) -> Finding {
        Finding {
            found: found.to_owned(),
            measured: measured.into(),
            expected: expected.to_owned(),
            advice: advice.map(str::to_owned),
        }
    }
}

impl Doctor {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
        let volumes = match settings.text("hdds.datanode.dir") {
            Some(_) => settings.folders("hdds.datanode.dir")?,
            None => Vec::new(),
        };
        let shards = match settings.count("allotrope.datanode.shards")? {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            shards => shards,
        };
        let memory = settings.bytes("allotrope.datanode.memory")?.as_u64();
        let probe = Probe::run(&volumes, shards, usize::try_from(memory)? / shards);
        let mut findings: Vec<Finding> = probe.lines().into_iter().map(Finding::from).collect();
        if !self.quick {
            findings.extend(speeds(&probe));
        }
        findings.extend([ec_kernel(), crc_kernel(), clock()]);
        findings.extend(chosen(settings)?);
        let broken = findings.iter().any(|finding| finding.found == Severity::Broken.to_string());
        match self.json {
            true => println!("{:#}", as_json(&probe, &findings, &volumes)),
            false => print(probe.back(), &findings, &volumes),
        }
        Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// How fast the directories are that serve.
fn speeds(probe: &Probe) -> Vec<Finding> {
    let serving: Vec<_> = probe.dirs.iter().filter(|dir| dir.trouble().is_none()).collect();
    let each = MEASURING / u32::try_from(serving.len().max(1)).unwrap_or(u32::MAX);
    let measured = |path: &PathBuf| match DiskSpeed::measure(path, probe.back(), each) {
        Ok(speed) => speed.line().into(),
        Err(e) => Finding::new(
            "broken",
            format!("{} could not be measured: {}", path.display(), crate::with_causes(&e)),
            "a directory that can be written and read",
            Some("look for the reason in the kernel's log"),
        ),
    };
    serving.iter().map(|dir| measured(&dir.path)).collect()
}

fn ec_kernel() -> Finding {
    const EXPECTED: &str = "ISA-L, on a processor with AVX2, better with GFNI";
    let vectors = vectors();
    let name = allotrope_ec::KERNEL_NAME;
    match (name, vectors.contains(&"avx2") || vectors.contains(&"neon")) {
        ("isa-l", true) => {
            Finding::new("ok", format!("erasure codes by {name} ({})", vectors.join(" ")), EXPECTED, None)
        }
        ("isa-l", false) => Finding::new(
            "slower",
            format!("erasure codes by {name}, and the processor shows no AVX2"),
            EXPECTED,
            Some("pass the processor's features to the virtual machine (cpu host-passthrough)"),
        ),
        _ => Finding::new(
            "slower",
            format!("erasure codes by the {name} kernel"),
            EXPECTED,
            Some("a build with the feature isa-l"),
        ),
    }
}

fn crc_kernel() -> Finding {
    const EXPECTED: &str = "carry-less multiplication (PCLMULQDQ, VPCLMULQDQ or PMULL)";
    let name = allotrope_proto::checksum::crc_kernel();
    let found = Finding::new("ok", format!("CRC-32C by {name}"), EXPECTED, None);
    if !name.contains("software") {
        return found;
    }
    let advice = "pass the processor's features to the virtual machine (cpu host-passthrough)";
    Finding { found: "slower".into(), advice: Some(advice.into()), ..found }
}

/// What of the processor's vector units matters to the kernels.
fn vectors() -> Vec<&'static str> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let has = [
            ("sse4.2", std::arch::is_x86_feature_detected!("sse4.2")),
            ("pclmulqdq", std::arch::is_x86_feature_detected!("pclmulqdq")),
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("vpclmulqdq", std::arch::is_x86_feature_detected!("vpclmulqdq")),
            ("gfni", std::arch::is_x86_feature_detected!("gfni")),
        ];
        found.extend(has.into_iter().filter_map(|(name, has)| has.then_some(name)));
    }
    #[cfg(target_arch = "aarch64")]
    found.push("neon");
    found
}

fn clock() -> Finding {
    const EXPECTED: &str = "a clock that a time service keeps";
    match allotrope_io::clock_is_kept() {
        Ok(true) => Finding::new("ok", "the clock is kept by a time service", EXPECTED, None),
        Ok(false) => Finding::new(
            "weaker",
            "the kernel says that nothing keeps its clock: times of keys and the ages of tokens drift",
            EXPECTED,
            Some("chronyd or systemd-timesyncd"),
        ),
        Err(e) => Finding::new(
            "weaker",
            format!("whether the clock is kept cannot be seen from here: {e}"),
            EXPECTED,
            Some("look at timedatectl on the host"),
        ),
    }
}

/// Settings that trade safety for speed.
fn chosen(settings: &Settings) -> Result<Vec<Finding>, Box<dyn Error>> {
    let mut findings = Vec::new();
    if settings.text_needed("allotrope.datanode.verify-reads")? != "true" {
        findings.push(Finding::new(
            "weaker",
            "allotrope.datanode.verify-reads=false: bytes leave a datanode without a look at their checksums",
            "true",
            Some("allotrope.datanode.verify-reads=true; without it only the reader's own check and the scrub find damage"),
        ));
    }
    if settings.text_needed("allotrope.datanode.durability")? != "disk" {
        findings.push(Finding::new(
            "weaker",
            "allotrope.datanode.durability=page-cache: a power cut may take acknowledged bytes",
            "disk",
            Some("allotrope.datanode.durability=disk"),
        ));
    }
    if settings.text_needed("allotrope.datanode.io")? == "portable" && Back::of_this_machine() == Back::Uring
    {
        findings.push(Finding::new(
            "slower",
            "allotrope.datanode.io=portable: io_uring works here and is not used",
            "auto",
            Some("allotrope.datanode.io=auto"),
        ));
    }
    Ok(findings)
}

fn print(back: Back, findings: &[Finding], volumes: &[PathBuf]) {
    print_in_use(back);
    println!("\n{:8}  MEASURED (EXPECTED)", "FOUND");
    for Finding { found, measured, expected, advice } in findings {
        println!("{found:8}  {measured} ({expected})");
        if let Some(advice) = advice {
            println!("{:8}  try: {advice}", "");
        }
    }
    if volumes.is_empty() {
        eprintln!("no data directory was looked at: hdds.datanode.dir is not set");
        eprintln!("  try: allotrope doctor --set hdds.datanode.dir=DIR[,DIR]");
    }
}

fn as_json(probe: &Probe, findings: &[Finding], volumes: &[PathBuf]) -> Value {
    let findings: Vec<Value> = findings
        .iter()
        .map(|Finding { found, measured, expected, advice }| {
            json!({ "found": found, "measured": measured, "expected": expected, "advice": advice })
        })
        .collect();
    let [back, ec, crc] = in_use(probe.back()).map(|(_, used)| used);
    let volumes: Vec<_> = volumes.iter().map(|volume| volume.display().to_string()).collect();
    json!({ "back": back, "ec": ec, "crc": crc, "kernel": probe.kernel, "volumes": volumes, "findings": findings })
}
