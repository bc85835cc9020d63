//! Lost replicas made anew, each configuration with one and two of them lost.

use crate::child::{Nodes, Place};
use crate::client::Client;
use crate::limits::gib;
use crate::{Effort, GIB, Scratch, at_least, commands, fill, limits, median};
use allotrope_benches::report::Report;
use allotrope_ec::Layout;
use allotrope_types::EcConfig;
use std::path::Path;
use std::time::Instant;

/// The container.
const CONTAINER: i64 = 2;
const CONFIGS: [&str; 3] = ["rs-3-2-1024k", "rs-6-3-1024k", "rs-10-4-1024k"];

/// The datanodes of one container: all its replicas in one process, those that take new ones in another.
pub(crate) struct Group {
    client: Client,
    layout: Layout,
    config: EcConfig,
    /// Where the replicas are, in their order.
    pub(crate) sources: Vec<Place>,
    /// The processes of the sources: one of all, or one that is watched and one of the others.
    processes: Vec<Nodes>,
    targets: Nodes,
    /// Bytes of a replica.
    len: u64,
    _folders: [Scratch; 2],
}

impl Group {
    /// All sources in one process, and all targets.
    pub(crate) fn new(config: &str, targets: usize, stripes: u64) -> Group {
        Group::with(config, targets, stripes, None)
    }

    /// One source in a process of its own. The others, and the targets, take of the cores what this one and whoever reads from it
    /// leave.
    pub(crate) fn around(config: &str, targets: usize, stripes: u64, watched: usize) -> Group {
        let group = Group::with(config, targets, stripes, Some(watched));
        group.processes[1].take_what_is_left();
        group.targets.take_what_is_left();
        group
    }

    fn with(config: &str, targets: usize, stripes: u64, watched: Option<usize>) -> Group {
        let config: EcConfig = config.parse().unwrap();
        let layout = Layout::new(config);
        let folders = [Scratch::on_disk("sources"), Scratch::on_disk("targets")];
        let client = Client::new();
        let dir = folders[0].path();
        let start = |dir: &Path, count: usize| Nodes::start(dir, count, "NO_COMPRESSION");
        let processes = match watched {
            None => vec![start(dir, config.total())],
            Some(_) => vec![start(&dir.join("watched"), 1), start(&dir.join("others"), config.total() - 1)],
        };
        let mut sources = processes.last().map(|nodes| nodes.places.clone()).unwrap_or_default();
        if let Some(watched) = watched {
            sources.insert(watched, processes[0].places[0].clone());
        }
        let targets = start(folders[1].path(), targets);
        fill::coded(&client, &sources, CONTAINER, layout, stripes);
        let len = fill::GROUPS * stripes * layout.cell_len() as u64;
        Group { client, layout, config, sources, processes, targets, len, _folders: folders }
    }

    /// CPU seconds of all datanodes.
    fn cpu(&self) -> f64 {
        self.processes.iter().map(Nodes::cpu).sum::<f64>() + self.targets.cpu()
    }

    /// Has the first `lost` replicas made anew from the others; bytes a second of them, and CPU seconds a GiB.
    pub(crate) fn rebuild(&mut self, lost: usize) -> (f64, f64) {
        // Of this container alone: what clients read beside stays where it is.
        let mut files = fill::block_files(self._folders[0].path());
        let dir = CONTAINER.to_string();
        files.retain(|file| file.ancestors().nth(2).is_some_and(|of| of.ends_with(&dir)));
        assert!(!files.is_empty(), "the container's files are found");
        fill::forget(&files);
        let before = self.cpu();
        let number = self.targets.number();
        let sources: Vec<(usize, &Place)> =
            self.sources.iter().enumerate().skip(lost).map(|(n, place)| (n + 1, place)).collect();
        let targets: Vec<(usize, &Place)> =
            self.targets.places.iter().enumerate().take(lost).map(|(n, place)| (n + 1, place)).collect();
        let command = commands::reconstruct(number, CONTAINER, self.config, &sources, &targets);
        let began = Instant::now();
        self.targets.tell(0, &command);
        self.targets.ended();
        let (seconds, bytes) = (began.elapsed().as_secs_f64(), (lost as u64 * self.len) as f64);
        let cpu = self.cpu() - before;
        for place in &self.targets.places[..lost] {
            fill::delete(&self.client, place, CONTAINER);
        }
        (bytes / seconds, cpu / (bytes / GIB))
    }
}

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Reconstruction",
        "Replicas of a container of 8 blocks, rebuilt from the others, none of them in the page cache; all datanodes share the disk and the cores. \
         The limit is the least of what the disk reads over the replicas that are read, what the loopback carries over all that \
         travels, what the disk writes over the replicas that are made, and what the codec decodes, each measured alone in the same run and \
         multiplied by the replicas that are made.",
        "code | lost | GiB/s | disk reads | loopback | disk writes | decode | ratio to the least | aim | CPU s a rebuilt GiB",
    );
    let loopback = limits::loopback(effort.seconds);
    let folder = Scratch::on_disk("fio");
    let disk = ["read", "write"].map(|rw| limits::fio_alone(folder.path(), rw, effort.seconds));
    drop(folder);
    for name in CONFIGS {
        let mut group = Group::new(name, 2, effort.stripes);
        for lost in [1, 2] {
            let data = group.config.data() as f64;
            let each = lost as f64;
            let decode = limits::decode(group.layout, lost, effort.seconds.min(2));
            let bounds = [each * disk[0] / data, each * loopback / (data + each), disk[1], decode];
            let turns: Vec<(f64, f64)> = (0..effort.turns).map(|_| group.rebuild(lost)).collect();
            let (rate, cpu) =
                (median(turns.iter().map(|turn| turn.0)), median(turns.iter().map(|turn| turn.1)));
            let ratio = rate / bounds.into_iter().fold(f64::INFINITY, f64::min);
            let [read, loopback, write, decode] = bounds.map(gib);
            report.row(&[
                name.to_owned(),
                lost.to_string(),
                gib(rate),
                read,
                loopback,
                write,
                decode,
                format!("{ratio:.2}"),
                at_least(0.5, ratio),
                format!("{cpu:.2}"),
            ]);
        }
    }
}
