//! `allotrope version`: which Allotrope this is, and what it uses on this machine.

use std::error::Error;
use std::process::ExitCode;

use allotrope_io::Back;

pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    println!("allotrope {}", env!("CARGO_PKG_VERSION"));
    print_in_use(Back::of_this_machine());
    Ok(ExitCode::SUCCESS)
}

/// What carries out a datanode's I/O here, its erasure codes and its checksums, each with its name for people.
pub(super) fn in_use(back: Back) -> [(&'static str, String); 3] {
    [
        ("io back", back.to_string()),
        ("EC kernel", allotrope_ec::KERNEL_NAME.to_owned()),
        ("CRC kernel", allotrope_proto::checksum::crc_kernel()),
    ]
}

pub(super) fn print_in_use(back: Back) {
    for (name, used) in in_use(back) {
        println!("{name:10}  {used}");
    }
}
