//! Safe mode: until enough of the cluster has been heard, nothing is allocated, closed or deleted.
//!
//! Shape   [`rules`] is a pure function from counts to rules with their text; [`SafeMode`] remembers that it has ended:
//!         once out, SCM stays out until it restarts.
//! Source  wire facts: scm.md 2.7; rule names and texts are Ozone's, which operators and scripts know.

/// What the rules look at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Datanodes that have registered.
    pub datanodes: usize,
    /// Datanodes that have to.
    pub datanodes_min: usize,
    /// Replicated containers, closed or quasi-closed and not empty.
    pub replicated: usize,
    /// Those of them of which a replica was reported.
    pub replicated_reported: usize,
    /// EC containers, closed or quasi-closed and not empty.
    pub ec: usize,
    /// Those of them of which enough replicas to read them were reported.
    pub ec_reported: usize,
    /// Share of both that has to be reported.
    pub containers_min: f64,
    /// Open RATIS/THREE pipelines.
    pub ratis_pipelines: usize,
    /// Those whose members are all healthy.
    pub ratis_pipelines_healthy: usize,
    /// Those of which a member was heard.
    pub ratis_pipelines_heard: usize,
    /// Whether this member has applied what was committed when it started.
    pub caught_up: bool,
}

/// One rule and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// The figures, for people.
    pub text: String,
}

/// The rules, in the order in which they are shown.
pub fn rules(counts: &Counts) -> Vec<Rule> {
    let share = |part: usize, all: usize| if all == 0 { 1.0 } else { part as f64 / all as f64 };
    let containers = |part: usize, all: usize, kind: &str| {
        let reported = share(part, all);
        let text = format!(
            "{:.2}% of [{kind}] Containers({part} / {all}) with at least {} reported (={reported:.2}) >= safeModeCutoff \
             (={:.2})",
            reported * 100.0,
            if kind == "EC" { "N replicas" } else { "one replica" },
            counts.containers_min
        );
        (reported >= counts.containers_min, text)
    };
    let Counts { datanodes, datanodes_min, .. } = *counts;
    let (replicated, replicated_text) = containers(counts.replicated_reported, counts.replicated, "Ratis");
    let (ec, ec_text) = containers(counts.ec_reported, counts.ec, "EC");
    let tenth = |pipelines: usize, percent: usize| (pipelines * percent).div_ceil(100);
    let (healthy, healthy_min) = (counts.ratis_pipelines_healthy, tenth(counts.ratis_pipelines, 10));
    let (heard, heard_min) = (counts.ratis_pipelines_heard, tenth(counts.ratis_pipelines, 90));
    let rule = |name, holds, text| Rule { name, holds, text };
    vec![
        rule(
            "DataNodeSafeModeRule",
            datanodes >= datanodes_min,
            format!("registered datanodes (={datanodes}) >= required datanodes (={datanodes_min})"),
        ),
        rule("RatisContainerSafeModeRule", replicated, replicated_text),
        rule("ECContainerSafeModeRule", ec, ec_text),
        rule(
            "HealthyPipelineSafeModeRule",
            healthy >= healthy_min,
            format!(
                "healthy Ratis/THREE pipelines (={healthy}) >= healthyPipelineThresholdCount (={healthy_min})"
            ),
        ),
        rule(
            "OneReplicaPipelineSafeModeRule",
            heard >= heard_min,
            format!(
                "reported Ratis/THREE pipelines with at least one datanode (={heard}) >= threshold (={heard_min})"
            ),
        ),
        rule(
            "StateMachineReadyRule",
            counts.caught_up,
            format!("the log up to the start is applied (={})", counts.caught_up),
        ),
    ]
}

/// Whether SCM is in safe mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafeMode {
    on: bool,
}

impl SafeMode {
    /// On at the start, unless it is switched off altogether.
    pub fn new(enabled: bool) -> SafeMode {
        SafeMode { on: enabled }
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Ends it if every rule holds; true if it has ended now.
    pub fn look(&mut self, counts: &Counts) -> bool {
        let ends = self.on && rules(counts).iter().all(|rule| rule.holds);
        if ends {
            tracing::info!(datanodes = counts.datanodes, "SCM leaves safe mode: every rule holds");
            self.on = false;
        }
        ends
    }

    /// Ends it because an administrator says so; true if it was on.
    pub fn force_exit(&mut self) -> bool {
        std::mem::replace(&mut self.on, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enough() -> Counts {
        Counts { datanodes: 3, datanodes_min: 3, containers_min: 0.99, caught_up: true, ..Counts::default() }
    }

    #[test]
    fn every_rule_alone_keeps_scm_in_safe_mode() {
        let mut out = SafeMode::new(true);
        assert!(out.look(&enough()) && !out.is_on());
        let lacking = [
            Counts { datanodes: 2, ..enough() },
            Counts { replicated: 100, replicated_reported: 98, ..enough() },
            Counts { ec: 1, ec_reported: 0, ..enough() },
            Counts { ratis_pipelines: 11, ratis_pipelines_healthy: 1, ratis_pipelines_heard: 11, ..enough() },
            Counts { ratis_pipelines: 10, ratis_pipelines_healthy: 1, ratis_pipelines_heard: 8, ..enough() },
            Counts { caught_up: false, ..enough() },
        ];
        for (at, counts) in lacking.iter().enumerate() {
            let mut mode = SafeMode::new(true);
            assert!(!mode.look(counts), "{counts:?}");
            let failing: Vec<usize> = (0..6).filter(|n| !rules(counts)[*n].holds).collect();
            assert_eq!(failing, [at], "{counts:?}");
        }
    }

    #[test]
    fn once_out_it_stays_out() {
        let mut mode = SafeMode::new(true);
        assert!(mode.force_exit());
        assert!(!mode.force_exit());
        assert!(!mode.look(&Counts { datanodes_min: 3, ..Counts::default() }));
        assert!(!mode.is_on());
        assert!(!SafeMode::new(false).is_on());
    }

    #[test]
    fn the_text_shows_the_figures() {
        let text: Vec<String> =
            rules(&Counts { datanodes: 1, replicated: 4, replicated_reported: 3, ..enough() })
                .into_iter()
                .map(|rule| rule.text)
                .collect();
        assert_eq!(text[0], "registered datanodes (=1) >= required datanodes (=3)");
        assert!(text[1].contains("75.00% of [Ratis] Containers(3 / 4)"), "{}", text[1]);
    }
}
