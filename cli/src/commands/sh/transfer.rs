//! Bulk bytes between keys and local files.
//!
//! Shape   a thread moves the file's bytes, a bounded channel joins it with the network: at most four pieces of 1 MiB
//!         wait between the two.
//! Errors  a `get` that fails leaves no file, but with `--resume` a part to go on from; a file that changes while it is put is not
//!         committed.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use allotrope_client::{Client, KeyPath, KeyReader, PutOptions};
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Done;
use super::resume::Part;

const PIECE_LEN: usize = 1 << 20;
const PIECES_WAITING: usize = 4;
/// From this length on a transfer shows how far it is.
const LONG: u64 = 16 << 20;

pub(super) async fn put(client: &Client, key: &KeyPath, file: &Path, options: PutOptions) -> Done {
    let progress = progress(fs::metadata(file).map_or(0, |about| about.len()));
    put_file(client, key, file, options, &progress).await?;
    progress.finish_and_clear();
    Ok(())
}

/// Writes one file, or standard input, to a key, and tells `progress` of its bytes.
pub(super) async fn put_file(
    client: &Client,
    key: &KeyPath,
    file: &Path,
    options: PutOptions,
    progress: &ProgressBar,
) -> Done {
    let local = Local::open(file)?;
    let len = local.len;
    let options = PutOptions { len, ..options };
    let mut writer = client.write_key(key, options).await?;
    let (mut pieces, reading) = local.pieces();
    while let Some(piece) = pieces.recv().await {
        progress.inc(piece.len() as u64);
        match writer.write(piece).await {
            Err(allotrope_client::Error::Length { .. }) => return Err(changed(file).into()),
            written => written?,
        }
    }
    // Only a file that is still as it was when we began is committed.
    let unchanged = reading.await?.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    if !unchanged || len.is_some_and(|len| len != writer.written()) {
        return Err(changed(file).into());
    }
    writer.finish().await?;
    Ok(())
}

fn changed(file: &Path) -> String {
    format!("{} changed while it was read; the key was not written", file.display())
}

/// A local file, or standard input, that is to be read.
struct Local {
    source: Box<dyn Read + Send>,
    /// Its length and last change, where it is a regular file.
    len: Option<u64>,
    stamp: Option<(PathBuf, SystemTime)>,
}

impl Local {
    fn open(path: &Path) -> Result<Local, Box<dyn Error>> {
        if path == Path::new("-") {
            return Ok(Local { source: Box::new(io::stdin()), len: None, stamp: None });
        }
        let failed = |error| format!("cannot read {}: {error}", path.display());
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(format!(
                "{} is a folder; name a file\n  try: --recursive to upload all files below it",
                path.display()
            )
            .into());
        }
        let regular = about.is_file();
        let stamp = about.modified().ok().filter(|_| regular).map(|modified| (path.to_owned(), modified));
        Ok(Local { source: Box::new(file), len: regular.then_some(about.len()), stamp })
    }

    /// Reads on a thread of its own. The handle says, at the end, whether the file is still as it was.
    fn pieces(mut self) -> (mpsc::Receiver<Bytes>, JoinHandle<io::Result<bool>>) {
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        let reading = tokio::task::spawn_blocking(move || {
            loop {
                let piece = read_piece(&mut self.source)?;
                if piece.is_empty() {
                    break;
                }
                if sender.blocking_send(piece).is_err() {
                    break;
                }
            }
            match self.stamp {
                Some((path, modified)) => Ok(std::fs::metadata(path)?.modified()? == modified),
                None => Ok(true),
            }
        });
        (receiver, reading)
    }
}

/// The next piece: full unless the source ends.
fn read_piece(source: &mut impl Read) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE_LEN);
    source.take(PIECE_LEN as u64).read_to_end(&mut piece)?;
    Ok(Bytes::from(piece))
}

/// How a `get` treats files that are there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeping {
    /// Replace the target.
    pub(super) force: bool,
    /// Go on with what an earlier get left, and leave a part if this one fails.
    pub(super) resume: bool,
}

pub(super) async fn get(client: &Client, key: &KeyPath, file: Option<&Path>, keeping: Keeping) -> Done {
    if file == Some(Path::new("-")) {
        return cat(client, key).await;
    }
    let target = target(key, file)?;
    let force = keeping.force;
    if !force && target.exists() {
        return Err(format!("{} exists\n  try: --force to replace it", target.display()).into());
    }
    if keeping.resume {
        return go_on(client, key, &target, force).await;
    }
    let reader = client.read_key(key).await?;
    let failed = |error: io::Error| format!("cannot write {}: {error}", target.display());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = temporary_in(folder).map_err(failed)?;
    let writing = temporary.reopen().map_err(failed)?;
    let file = pour(reader, 0, writing).await?.map_err(failed)?;
    tokio::task::spawn_blocking(move || file.sync_all()).await?.map_err(failed)?;
    let kept = match force {
        true => temporary.persist(&target),
        false => temporary.persist_noclobber(&target),
    };
    kept.map_err(|error| failed(error.error))?;
    Ok(())
}

/// A file that is removed unless it is kept, made as any new file: with what the user's mask leaves of read and write for all.
fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut code = None;
    let made = tempfile::Builder::new().prefix(".allotrope-get-").make_in(folder, |path| {
        let made = File::options().read(true).write(true).create_new(true).mode(0o666).open(path);
        made.inspect_err(|error| code = error.raw_os_error())
    });
    // The temporary name, which the error would have besides, says nothing to anybody.
    made.map_err(|error| code.map_or(error, io::Error::from_raw_os_error))
}

/// Reads what the part beside `target` lacks, and makes it the target.
async fn go_on(client: &Client, key: &KeyPath, target: &Path, force: bool) -> Done {
    let failed = |error: io::Error| format!("cannot write {}: {error}", target.display());
    let found = client.key(key).await?;
    let part = Part::open(target, &found).map_err(failed)?;
    let (from, len) = (part.len(), found.len);
    if from > 0 {
        eprintln!("going on behind {from} of {len} bytes");
    }
    let part = pour(client.read_found(found, from..len)?, from, part).await?.map_err(failed)?;
    let kept = target.to_owned();
    tokio::task::spawn_blocking(move || part.finish(&kept, force)).await?.map_err(failed)?;
    Ok(())
}

pub(super) async fn cat(client: &Client, key: &KeyPath) -> Done {
    let reader = client.read_key(key).await?;
    pour(reader, 0, io::stdout()).await??;
    Ok(())
}

/// Where `get` puts the key.
fn target(key: &KeyPath, file: Option<&Path>) -> Result<PathBuf, Box<dyn Error>> {
    let name = key.key.rsplit('/').find(|part| !part.is_empty() && *part != ".." && *part != ".");
    let name = || name.ok_or_else(|| format!("{key} gives no file a name; name one"));
    Ok(match file {
        None => PathBuf::from(name()?),
        Some(file) if file.is_dir() => file.join(name()?),
        Some(file) => file.to_owned(),
    })
}

/// Writes all bytes of `reader`, which begins at byte `from`, on a thread of its own, and flushes what came, be it all or not. The
/// outer error is the network's, the inner one the file's.
async fn pour<W: Write + Send + 'static>(
    mut reader: KeyReader,
    from: u64,
    mut sink: W,
) -> Result<io::Result<W>, Box<dyn Error>> {
    let progress = progress(reader.key().len);
    progress.set_position(from);
    progress.reset_eta();
    let (sender, mut receiver) = mpsc::channel::<Bytes>(PIECES_WAITING);
    let writing = tokio::task::spawn_blocking(move || {
        let mut written = Ok(());
        while written.is_ok()
            && let Some(piece) = receiver.blocking_recv()
        {
            written = sink.write_all(&piece);
        }
        // A part is to keep what came before the disk was full.
        let flushed = sink.flush();
        written.and(flushed).map(|()| sink)
    });
    let read = loop {
        let piece = match reader.next().await {
            Ok(Some(piece)) => piece,
            ended => break ended.map(drop),
        };
        progress.inc(piece.len() as u64);
        if sender.send(piece).await.is_err() {
            break Ok(());
        }
    };
    drop(sender);
    let written = writing.await?;
    progress.finish_and_clear();
    read?;
    Ok(written)
}

/// A bar on a terminal for a long transfer; nothing elsewhere.
pub(super) fn progress(len: u64) -> ProgressBar {
    if len < LONG || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr());
    let template = "{bar:40} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta}";
    bar.with_style(ProgressStyle::with_template(template).expect("the template is ours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_file() {
        let key = |text: &str| text.parse::<KeyPath>().unwrap();
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(target(&key("/v/b/a/cat.jpg"), None).unwrap(), PathBuf::from("cat.jpg"));
        assert_eq!(target(&key("/v/b/a/cat/"), None).unwrap(), PathBuf::from("cat"));
        assert_eq!(target(&key("/v/b/cat"), Some(folder.path())).unwrap(), folder.path().join("cat"));
        assert_eq!(target(&key("/v/b/cat"), Some(Path::new("x"))).unwrap(), PathBuf::from("x"));
        assert!(target(&key("/v/b/.."), None).is_err());
    }

    #[test]
    fn pieces_are_full_until_the_end() {
        let bytes = vec![7; PIECE_LEN + 5];
        let mut source = io::Cursor::new(bytes);
        let mut next = || read_piece(&mut source).unwrap().len();
        assert_eq!([next(), next(), next()], [PIECE_LEN, 5, 0]);
    }
}
