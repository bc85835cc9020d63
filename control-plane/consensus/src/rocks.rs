//! How this workspace opens RocksDB: what all databases of a process share, and what keeps them readable by Ozone.
//!
//! Owns    one block cache, one write-buffer budget and one set of background threads a process (`RocksShared`).
//! Law     SST format_version 5, LZ4 blocks and no option that Ozone's RocksDB 7.7.3 cannot open; WAL recovery is
//!         TolerateCorruptedTailRecords: a torn last write is cut off, damage before it refuses to open.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Env, Options,
    WriteBufferManager,
};

/// What all RocksDBs of a process share. Make one at start and clone it.
#[derive(Clone)]
pub struct RocksShared {
    cache: Cache,
    write_buffers: WriteBufferManager,
    env: Env,
}

impl RocksShared {
    /// `cache_bytes` for blocks read, `write_buffer_bytes` for writes not yet in tables, over all databases.
    pub fn new(cache_bytes: usize, write_buffer_bytes: usize) -> Result<Self, rocksdb::Error> {
        let cache = Cache::new_lru_cache(cache_bytes);
        // Charged to the cache; a writer is never stalled by the budget, the largest memtable is flushed instead.
        let write_buffers =
            WriteBufferManager::new_write_buffer_manager_with_cache(write_buffer_bytes, false, cache.clone());
        let mut env = Env::new()?;
        env.set_background_threads(2);
        env.set_high_priority_background_threads(1);
        Ok(RocksShared { cache, write_buffers, env })
    }

    /// Options for opening a database.
    pub(crate) fn database(&self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_env(&self.env);
        options.set_write_buffer_manager(&self.write_buffers);
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_max_background_jobs(2);
        options.set_max_open_files(512);
        options.set_keep_log_file_num(4);
        options.set_max_log_file_size(4 << 20);
        options
    }

    /// Options for a column family.
    pub(crate) fn family(&self) -> Options {
        let mut options = Options::default();
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_block_based_table_factory(&self.tables());
        options.set_level_compaction_dynamic_level_bytes(true);
        options
    }

    fn tables(&self) -> BlockBasedOptions {
        let mut tables = BlockBasedOptions::default();
        tables.set_format_version(5);
        tables.set_block_cache(&self.cache);
        tables.set_bloom_filter(10.0, false);
        tables.set_cache_index_and_filter_blocks(true);
        tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
        tables
    }

    /// Opens the database in `dir` with `wanted` families and whatever other families it already holds.
    pub(crate) fn open(
        &self,
        dir: &Path,
        wanted: &[&str],
        family: impl Fn(&str) -> Options,
    ) -> Result<DB, rocksdb::Error> {
        let options = self.database();
        let mut names = match dir.join("CURRENT").exists() {
            true => DB::list_cf(&options, dir)?,
            false => vec!["default".to_owned()],
        };
        for name in wanted {
            if !names.iter().any(|have| have == name) {
                names.push((*name).to_owned());
            }
        }
        let families = names.into_iter().map(|name| {
            let options = family(&name);
            ColumnFamilyDescriptor::new(name, options)
        });
        DB::open_cf_descriptors(&options, dir, families)
    }
}
