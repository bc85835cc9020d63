//! Direct files at any offset and length: whole pages go to the disk, the caller sees bytes.
//!
//! Shape   a write takes its pages' range, fills what its first and last page share with the file, pads the rest with
//!         zeros and writes whole pages; a read reads whole pages and shows the bytes asked for.
//! Units   pages of [`PAGE`](crate::PAGE) bytes, which every disk we support can write.
//! Source  DESIGN.md, 'On disk': the unaligned tail is held in memory and rewritten whole.
//!
//! page      | p0            | p1            | p2            |
//! file      | kept | data ..|.. data ..     |.. data | kept |   kept: from the tail page in memory, or read first
//! memory    | 0 .. start    | start ..              .. + len |   same place within the page: nothing is copied

use crate::buffer::{AlignedBuf, PAGE};
use crate::error::{Act, DiskError};
use crate::file::File;
use std::io;
use std::ops::Range;

const P: u64 = PAGE as u64;

/// Bytes of the file that share the first and the last page of a write, as its writer knows them. They are written with
/// it in place of what a read of those pages would say.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// The bytes from the start of the first page up to the data, all of them; empty if the writer does not know them.
    pub before: Vec<u8>,
    /// The bytes right behind the data, as many as the writer knows.
    pub after: Vec<u8>,
}

impl File {
    /// Whether a write that shares the page at `at` takes the rest of that page from memory, not from the disk: it is the
    /// file's last one and was written here. Always so where the page cache does it.
    pub fn holds_page(&self, at: u64) -> bool {
        !self.is_direct() || self.inner.inode.holds_tail(at)
    }

    /// As [`write_at`](Self::write_at); what the writer knows of the first and last page is not read from the disk.
    pub async fn write_around(
        &self,
        buf: AlignedBuf,
        at: u64,
        around: Around,
    ) -> (AlignedBuf, Result<(), DiskError>) {
        self.inner.inode.sync.changed();
        let (buf, written) = match self.is_direct() {
            true => self.write_direct(buf, at, &around).await,
            false => self.write_from(buf, 0, at).await,
        };
        self.inner.inode.sync.changed();
        (buf, written)
    }

    /// Writes all of `buf` at `at` into a direct file.
    async fn write_direct(
        &self,
        buf: AlignedBuf,
        at: u64,
        around: &Around,
    ) -> (AlignedBuf, Result<(), DiskError>) {
        if buf.is_empty() {
            return (buf, Ok(()));
        }
        let len = buf.len();
        let head = (at % P) as usize;
        let Some(end) = at.checked_add(len as u64).filter(|end| *end <= i64::MAX as u64 - P) else {
            return (buf, Err(self.failed(Act::Write, at, io::ErrorKind::FileTooLarge)));
        };
        let pages = at - head as u64..end.next_multiple_of(P);
        let keep = self.inner.inode.writing.hold(pages.clone()).await;
        let (mut work, original) = placed(buf, head);
        let from = work.start() - head;
        let memory = from..(work.start() + len).next_multiple_of(PAGE);

        let mut result = self.keep_around(&mut work, &memory, pages.start, at..end, around).await;
        if result.is_ok() {
            let mut done = 0;
            while from + done < memory.end {
                let (part, place) = (from + done..memory.end, pages.start + done as u64);
                let (back, moved) = self.disk.write(&self.inner, work, part, place, Some(keep.clone())).await;
                work = back;
                match moved {
                    // Only whole pages count: a page that was written in part is written again.
                    Ok(n) if n / PAGE > 0 => done += n / PAGE * PAGE,
                    Ok(_) => result = Err(self.failed(Act::Write, place, io::ErrorKind::WriteZero)),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => result = Err(self.failed(Act::Write, place, e)),
                }
                if result.is_err() {
                    break;
                }
            }
        }
        match &result {
            // A pool that could start no thread lost the memory, with an error.
            Ok(()) => self.inner.inode.written(pages.start, &work.memory()[memory], end),
            Err(_) => self.inner.inode.forget_tail(),
        }
        (original.unwrap_or(work), result)
    }

    /// Fills what the first and the last page of a write share with the file.
    async fn keep_around(
        &self,
        work: &mut AlignedBuf,
        memory: &Range<usize>,
        pages_at: u64,
        data: Range<u64>,
        around: &Around,
    ) -> Result<(), DiskError> {
        let (head, tail) = ((data.start - pages_at) as usize, (data.end % P) as usize);
        let last_at = data.end - tail as u64;
        let file_len = self.inner.inode.len();
        let mut only = None;
        if head > 0 {
            let before = memory.start..memory.start + head;
            if around.before.len() == head {
                work.memory_mut()[before].copy_from_slice(&around.before);
            } else {
                let page = self.page(pages_at, file_len).await?;
                work.memory_mut()[before].copy_from_slice(&page[..head]);
                only = (last_at == pages_at).then_some(page);
            }
        }
        if tail > 0 {
            let known = around.after.len().min(PAGE - tail);
            let behind = memory.end - PAGE + tail..memory.end - PAGE + tail + known;
            work.memory_mut()[behind.clone()].copy_from_slice(&around.after[..known]);
            let rest = behind.end..memory.end;
            if data.end + known as u64 >= file_len {
                work.memory_mut()[rest].fill(0);
            } else {
                let page = match only {
                    Some(page) => page,
                    None => self.page(last_at, file_len).await?,
                };
                work.memory_mut()[rest].copy_from_slice(&page[tail + known..]);
            }
        }
        Ok(())
    }

    /// One page of the file as it stands, zeros behind its end.
    async fn page(&self, at: u64, file_len: u64) -> Result<AlignedBuf, DiskError> {
        let mut page = AlignedBuf::heap(PAGE);
        page.set_len(PAGE);
        if at >= file_len || self.inner.inode.copy_tail(at, &mut page) {
            return Ok(page);
        }
        let (mut page, read) = self.read_pages(page, at, PAGE).await;
        let used = read?.min((file_len - at).min(P) as usize);
        page.set_len(PAGE);
        page[used..].fill(0);
        Ok(page)
    }

    /// Reads up to `len` bytes from `at` of a direct file into `buf`.
    pub(crate) async fn read_direct(
        &self,
        mut buf: AlignedBuf,
        at: u64,
        len: usize,
    ) -> (AlignedBuf, Result<usize, DiskError>) {
        let len = match self.inner.inode.padded_len() {
            Some(end) => len.min(usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX)),
            None => len,
        };
        let head = (at % P) as usize;
        if len == 0 {
            buf.set_len(0);
            return (buf, Ok(0));
        }
        // A buffer that has no room for whole pages is filled by way of one that has.
        if (head + len).next_multiple_of(PAGE) > buf.memory().len() {
            let (whole, read) = self.read_pages(AlignedBuf::heap(head + len), at, len).await;
            buf.set_len(whole.len());
            buf.copy_from_slice(&whole);
            return (buf, read);
        }
        self.read_pages(buf, at, len).await
    }

    async fn read_pages(
        &self,
        mut buf: AlignedBuf,
        at: u64,
        len: usize,
    ) -> (AlignedBuf, Result<usize, DiskError>) {
        let head = (at % P) as usize;
        buf.clear_at(head);
        let memory = 0..(head + len).next_multiple_of(PAGE);
        let mut done = 0;
        while done < memory.end {
            let from = at - head as u64 + done as u64;
            let (back, moved) = self.disk.read(&self.inner, buf, done..memory.end, from).await;
            buf = back;
            match moved {
                Ok(n) => {
                    done += n;
                    // A read that ends inside a page ends with the file.
                    if n == 0 || n % PAGE != 0 {
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (buf, Err(self.failed(Act::Read, from, e))),
            }
        }
        let got = done.saturating_sub(head).min(len);
        buf.set_len(got);
        (buf, Ok(got))
    }
}

/// The buffer with its data at `head` within a page, and room for the rest of the last page; if it had to be copied to
/// another, the original as well.
fn placed(mut buf: AlignedBuf, head: usize) -> (AlignedBuf, Option<AlignedBuf>) {
    if buf.start() % PAGE == head {
        return (buf, None);
    }
    let len = buf.len();
    if head + len <= buf.memory().len() {
        let from = buf.start();
        buf.memory_mut().copy_within(from..from + len, head);
        buf.clear_at(head);
        buf.set_len(len);
        return (buf, None);
    }
    let mut work = AlignedBuf::heap(head + len);
    work.clear_at(head);
    work.extend_from_slice(&buf);
    (work, Some(buf))
}
