//! A result's JSON, written and read.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Described, FORMAT, Operation, RunResult, VERSION};
use crate::processes::{Machine, ProcessPoint, ProcessUse};
use crate::record::{Failures, Point};

/// JSON that is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableResult {
    /// It is no JSON.
    #[error("this is no JSON: {0}")]
    Json(String),
    /// It is something else.
    #[error("this is no result of allotrope perf: its field {0} is missing or of another kind")]
    Field(String),
    /// A newer build wrote it.
    #[error("this result has format version {0}; this build reads up to {VERSION}")]
    Newer(u64),
}

impl RunResult {
    /// The result as JSON.
    pub fn to_json(&self) -> Value {
        let Described { load, settings, named, began_ms } = &self.described;
        let Machine { processor, cores, memory, kernel } = &self.machine;
        let operations: Vec<Value> = self.operations.iter().map(|op| self.operation(op)).collect();
        let failures: Map<String, Value> = self
            .failures
            .iter()
            .map(|(kind, Failures { count, first })| {
                (kind.clone(), json!({ "count": count, "first": first }))
            })
            .collect();
        json!({
            "format": FORMAT,
            "version": VERSION,
            "load": load,
            "settings": settings,
            "named": named,
            "began_ms": began_ms,
            "end": self.end,
            "in_warm_up": self.in_warm_up,
            "took_ns": ns(self.took),
            "operations": operations,
            "failures": failures,
            "not_begun": self.not_begun,
            "abandoned": self.abandoned,
            "points": self.points.iter().map(point).collect::<Vec<_>>(),
            "processes": self.processes.iter().map(process).collect::<Vec<_>>(),
            "machine": { "processor": processor, "cores": cores, "memory": memory, "kernel": kernel },
        })
    }

    fn operation(&self, op: &Operation) -> Value {
        let quantiles: Vec<Value> =
            op.quantiles.iter().map(|(part, time)| json!([part, ns(*time)])).collect();
        json!({
            "name": op.name,
            "count": op.count,
            "bytes": op.bytes,
            "count_per_second": self.a_second(op.count),
            "bytes_per_second": self.a_second(op.bytes),
            "mean_ns": ns(op.mean),
            "deviation_ns": ns(op.deviation),
            "quantiles_ns": quantiles,
        })
    }

    /// Reads a result's JSON.
    ///
    /// # Errors
    /// [`UnreadableResult`] names the field that is wrong.
    pub fn from_json(text: &str) -> Result<RunResult, UnreadableResult> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| UnreadableResult::Json(error.to_string()))?;
        let top = At { value: &value, path: String::new() };
        if top.text("format")? != FORMAT {
            return Err(UnreadableResult::Field("format".to_owned()));
        }
        match top.number("version")? {
            version if version > VERSION => return Err(UnreadableResult::Newer(version)),
            _ => {}
        }
        let machine = top.field("machine")?;
        Ok(RunResult {
            described: Described {
                load: top.text("load")?,
                settings: top.field("settings")?.texts()?,
                named: top.field("named")?.texts()?,
                began_ms: top.number("began_ms")?,
            },
            end: top.text("end")?,
            in_warm_up: top.field("in_warm_up")?.value == &Value::Bool(true),
            took: top.time("took_ns")?,
            operations: top.each("operations", |op| {
                Ok(Operation {
                    name: op.text("name")?,
                    count: op.number("count")?,
                    bytes: op.number("bytes")?,
                    mean: op.time("mean_ns")?,
                    deviation: op.time("deviation_ns")?,
                    quantiles: op.each("quantiles_ns", At::quantile)?,
                })
            })?,
            failures: top.failures()?,
            not_begun: top.number("not_begun")?,
            abandoned: top.number("abandoned")?,
            points: top.each("points", read_point)?,
            processes: top.each("processes", read_process)?,
            machine: Machine {
                processor: machine.text("processor")?,
                cores: usize::try_from(machine.number("cores")?).unwrap_or(usize::MAX),
                memory: machine.number("memory")?,
                kernel: machine.text("kernel")?,
            },
        })
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn point(point: &Point) -> Value {
    json!({
        "at_ns": ns(point.at),
        "len_ns": ns(point.len),
        "count": point.count,
        "bytes": point.bytes,
        "failures": point.failures,
        "p50_ns": ns(point.p50),
        "p99_ns": ns(point.p99),
        "max_ns": ns(point.max),
    })
}

fn read_point(at: &At<'_>) -> Result<Point, UnreadableResult> {
    Ok(Point {
        at: at.time("at_ns")?,
        len: at.time("len_ns")?,
        count: at.number("count")?,
        bytes: at.number("bytes")?,
        failures: at.number("failures")?,
        p50: at.time("p50_ns")?,
        p99: at.time("p99_ns")?,
        max: at.time("max_ns")?,
    })
}

fn process(process: &ProcessUse) -> Value {
    let series: Vec<Value> = process
        .series
        .iter()
        .map(|point| {
            json!({
                "at_ns": ns(point.at),
                "cores": point.cores,
                "rss": point.rss,
                "disk_read_per_second": point.disk_read,
                "disk_written_per_second": point.disk_written,
                "net_received_per_second": point.net_received,
                "net_sent_per_second": point.net_sent,
            })
        })
        .collect();
    json!({
        "pid": process.pid,
        "name": process.name,
        "cpu_ns": ns(process.cpu),
        "rss": process.rss,
        "rss_max": process.rss_max,
        "disk_read": process.disk_read,
        "disk_written": process.disk_written,
        "net_received": process.net_received,
        "net_sent": process.net_sent,
        "series": series,
    })
}

fn read_process(at: &At<'_>) -> Result<ProcessUse, UnreadableResult> {
    Ok(ProcessUse {
        pid: u32::try_from(at.number("pid")?).unwrap_or(u32::MAX),
        name: at.text("name")?,
        cpu: at.time("cpu_ns")?,
        rss: at.number("rss")?,
        rss_max: at.number("rss_max")?,
        disk_read: at.value["disk_read"].as_u64(),
        disk_written: at.value["disk_written"].as_u64(),
        net_received: at.value["net_received"].as_u64(),
        net_sent: at.value["net_sent"].as_u64(),
        series: at.each("series", |at| {
            Ok(ProcessPoint {
                at: at.time("at_ns")?,
                cores: at.float("cores")?,
                rss: at.number("rss")?,
                disk_read: at.float("disk_read_per_second")?,
                disk_written: at.float("disk_written_per_second")?,
                net_received: at.float("net_received_per_second")?,
                net_sent: at.float("net_sent_per_second")?,
            })
        })?,
    })
}

/// A value, and the way to it for errors.
struct At<'v> {
    value: &'v Value,
    path: String,
}

impl At<'_> {
    fn wrong(&self, name: &str) -> UnreadableResult {
        UnreadableResult::Field(format!("{}{name}", self.path))
    }

    fn field(&self, name: &str) -> Result<At<'_>, UnreadableResult> {
        let value = self.value.get(name).ok_or_else(|| self.wrong(name))?;
        Ok(At { value, path: format!("{}{name}.", self.path) })
    }

    fn text(&self, name: &str) -> Result<String, UnreadableResult> {
        let text = self.field(name)?.value.as_str().map(str::to_owned);
        text.ok_or_else(|| self.wrong(name))
    }

    fn number(&self, name: &str) -> Result<u64, UnreadableResult> {
        self.field(name)?.value.as_u64().ok_or_else(|| self.wrong(name))
    }

    fn float(&self, name: &str) -> Result<f64, UnreadableResult> {
        self.field(name)?.value.as_f64().ok_or_else(|| self.wrong(name))
    }

    fn time(&self, name: &str) -> Result<Duration, UnreadableResult> {
        self.number(name).map(Duration::from_nanos)
    }

    fn texts(&self) -> Result<BTreeMap<String, String>, UnreadableResult> {
        let object = self.value.as_object().ok_or_else(|| self.wrong(""))?;
        let pair = |(name, value): (&String, &Value)| {
            Ok((name.clone(), value.as_str().ok_or_else(|| self.wrong(name))?.to_owned()))
        };
        object.iter().map(pair).collect()
    }

    fn each<T>(
        &self,
        name: &str,
        read: impl Fn(&At<'_>) -> Result<T, UnreadableResult>,
    ) -> Result<Vec<T>, UnreadableResult> {
        let field = self.field(name)?;
        let list = field.value.as_array().ok_or_else(|| self.wrong(name))?;
        let item = |(n, value): (usize, &Value)| read(&At { value, path: format!("{}{n}.", field.path) });
        list.iter().enumerate().map(item).collect()
    }

    fn quantile(at: &At<'_>) -> Result<(f64, Duration), UnreadableResult> {
        let part = at.value[0].as_f64().ok_or_else(|| at.wrong("0"))?;
        let time = at.value[1].as_u64().ok_or_else(|| at.wrong("1"))?;
        Ok((part, Duration::from_nanos(time)))
    }

    fn failures(&self) -> Result<BTreeMap<String, Failures>, UnreadableResult> {
        let field = self.field("failures")?;
        let object = field.value.as_object().ok_or_else(|| self.wrong("failures"))?;
        let one = |(kind, value): (&String, &Value)| {
            let at = At { value, path: format!("{}{kind}.", field.path) };
            Ok((kind.clone(), Failures { count: at.number("count")?, first: at.text("first")? }))
        };
        object.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result() -> RunResult {
        let ms = Duration::from_millis;
        RunResult {
            described: Described {
                load: "key-write".into(),
                settings: [("size".to_owned(), "10 KiB".to_owned())].into(),
                named: [("prefix".to_owned(), "perf".to_owned())].into(),
                began_ms: 1_700_000_000_000,
            },
            end: "done".into(),
            in_warm_up: false,
            took: ms(2000),
            operations: vec![Operation {
                name: "write".into(),
                count: 100,
                bytes: 1_024_000,
                mean: ms(3),
                deviation: ms(1),
                quantiles: vec![(0.0, ms(1)), (0.5, ms(3)), (0.99, ms(9)), (1.0, ms(10))],
            }],
            failures: [("late".to_owned(), Failures { count: 2, first: "no end".into() })].into(),
            not_begun: 3,
            abandoned: 4,
            points: vec![Point {
                at: ms(0),
                len: ms(1000),
                count: 60,
                bytes: 9,
                failures: 2,
                p50: ms(3),
                p99: ms(9),
                max: ms(10),
            }],
            processes: vec![ProcessUse {
                pid: 7,
                name: "datanode".into(),
                cpu: ms(1500),
                rss: 1 << 20,
                rss_max: 2 << 20,
                disk_read: None,
                disk_written: Some(5),
                net_received: Some(6),
                net_sent: None,
                series: vec![ProcessPoint {
                    at: ms(1000),
                    cores: 0.75,
                    rss: 1 << 20,
                    disk_read: 0.0,
                    disk_written: 5.0,
                    net_received: 6.0,
                    net_sent: 0.5,
                }],
            }],
            machine: Machine {
                processor: "a processor".into(),
                cores: 2,
                memory: 1 << 34,
                kernel: "6.1".into(),
            },
        }
    }

    #[test]
    fn a_result_is_read_back_as_it_was_written() {
        let written = result().to_json().to_string();
        assert_eq!(RunResult::from_json(&written), Ok(result()));
    }

    #[test]
    fn what_is_no_result_is_refused_by_its_field_and_a_newer_one_by_its_version() {
        let refused = |change: &dyn Fn(&mut Value)| {
            let mut value = result().to_json();
            change(&mut value);
            RunResult::from_json(&value.to_string()).unwrap_err()
        };
        assert_eq!(refused(&|v| v["version"] = json!(2)), UnreadableResult::Newer(2));
        assert_eq!(refused(&|v| v["format"] = json!("x")), UnreadableResult::Field("format".into()));
        let field = |name: &str| UnreadableResult::Field(name.to_owned());
        assert_eq!(refused(&|v| v["operations"][0]["count"] = json!("many")), field("operations.0.count"));
        assert_eq!(refused(&|v| v["failures"]["late"] = json!(2)), field("failures.late.count"));
        assert_eq!(refused(&|v| drop(v.as_object_mut().unwrap().remove("points"))), field("points"));
        assert!(matches!(RunResult::from_json("{"), Err(UnreadableResult::Json(_))));
        for text in ["[]", "null", "{}", "\"x\""] {
            assert_eq!(RunResult::from_json(text), Err(field("format")));
        }
    }
}
