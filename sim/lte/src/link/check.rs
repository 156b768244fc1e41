//! What an impairment may be.

use std::path::Path as File;

use super::config::{Flapping, Handover, Path, Trace};
use super::delay::Distribution;

/// Longest time that a number may name: an hour in milliseconds.
const HOUR: f64 = 3_600_000.0;

fn share(key: &str, value: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(format!("{key} is {value}, it must lie in 0 to 1"))
}

fn time(key: &str, ms: f64) -> Result<(), String> {
    if (0.0..=HOUR).contains(&ms) {
        return Ok(());
    }
    Err(format!("{key} is {ms}, it must lie in 0 to {HOUR}"))
}

pub(crate) fn excludes(one: (&str, bool), other: (&str, bool)) -> Result<(), String> {
    if one.1 && other.1 {
        return Err(format!(
            "{} and {} exclude each other; leave one out",
            one.0, other.0
        ));
    }
    Ok(())
}

pub(crate) fn needs(one: (&str, bool), other: (&str, bool)) -> Result<(), String> {
    if one.1 && !other.1 {
        return Err(format!("{} has no effect without {}", one.0, other.0));
    }
    Ok(())
}

impl Path {
    /// Takes in the files that a profile names, which lie in `folder`.
    pub fn read_files(&mut self, folder: &File) -> Result<(), String> {
        let read = |key: &str, name: &str| {
            std::fs::read_to_string(folder.join(name))
                .map_err(|error| format!("{key}: cannot read {name}: {error}"))
        };
        if let Trace::File(name) = &self.trace {
            let text = read("trace", name)?;
            let trace = Trace::parse(&text);
            self.trace = trace.map_err(|error| format!("trace: {name}: {error}"))?;
        }
        if let Distribution::File(name) = &self.distribution {
            let text = read("distribution", name)?;
            let table = Distribution::parse(&text);
            self.distribution = table.map_err(|error| format!("distribution: {name}: {error}"))?;
        }
        Ok(())
    }

    /// What is wrong with it: key, value, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        for (key, value) in [
            ("loss", self.loss),
            ("loss_correlation", self.loss_correlation),
            ("duplicate", self.duplicate),
            ("duplicate_correlation", self.duplicate_correlation),
            ("corrupt", self.corrupt),
            ("corrupt_correlation", self.corrupt_correlation),
            ("reorder", self.reorder),
            ("reorder_correlation", self.reorder_correlation),
            ("jitter_correlation", self.jitter_correlation),
        ] {
            share(key, value)?;
        }
        for (key, ms) in [
            ("latency_ms", self.latency_ms),
            ("jitter_ms", self.jitter_ms),
            ("codel_target_ms", self.codel_target_ms),
            ("codel_interval_ms", self.codel_interval_ms),
        ] {
            time(key, ms)?;
        }
        self.check_chains()?;
        self.check_slot()?;
        self.check_together()?;
        self.trace
            .clone()
            .checked()
            .map_err(|error| format!("trace: {error}"))?;
        Ok(())
    }

    fn check_chains(&self) -> Result<(), String> {
        if let Some(model) = &self.gilbert_elliott {
            share("gilbert_elliott.p", model.p)?;
            share("gilbert_elliott.r", model.r)?;
            share("gilbert_elliott.bad_loss", model.bad_loss)?;
            share("gilbert_elliott.good_loss", model.good_loss)?;
        }
        if let Some(model) = &self.four_state {
            share("four_state.p13", model.p13)?;
            share("four_state.p31", model.p31)?;
            share("four_state.p32", model.p32)?;
            share("four_state.p23", model.p23)?;
            share("four_state.p14", model.p14)?;
            share("four_state.p13 + p14", model.p13 + model.p14)?;
            share("four_state.p31 + p32", model.p31 + model.p32)?;
        }
        Ok(())
    }

    fn check_slot(&self) -> Result<(), String> {
        let Some(slot) = &self.slot else {
            return Ok(());
        };
        time("slot.min_ms", slot.min_ms)?;
        time("slot.max_ms", slot.max_ms)?;
        if slot.max_ms > 0.0 && slot.max_ms < slot.min_ms {
            let (min, max) = (slot.min_ms, slot.max_ms);
            return Err(format!(
                "slot.max_ms is {max}, less than slot.min_ms, which is {min}"
            ));
        }
        let paced = slot.min_ms > 0.0 || slot.max_ms > 0.0;
        needs(("slot", true), ("a min_ms or max_ms above 0", paced))
    }

    /// Settings that contradict each other, or mean nothing alone.
    fn check_together(&self) -> Result<(), String> {
        let chains = self.gilbert_elliott.is_some();
        excludes(("loss", self.loss > 0.0), ("gilbert_elliott", chains))?;
        excludes(
            ("loss", self.loss > 0.0),
            ("four_state", self.four_state.is_some()),
        )?;
        excludes(
            ("gilbert_elliott", chains),
            ("four_state", self.four_state.is_some()),
        )?;
        let trace = self.trace != Trace::None;
        excludes(("rate_bps", self.rate_bps > 0), ("trace", trace))?;
        let delay = ("a latency_ms", self.latency_ms > 0.0);
        needs(("reorder", self.reorder > 0.0), delay)?;
        needs(("gap", self.gap > 1), ("reorder", self.reorder > 0.0))?;
        let jitter = ("a jitter_ms", self.jitter_ms > 0.0);
        needs(
            ("distribution", self.distribution != Distribution::Uniform),
            jitter,
        )?;
        needs(
            ("jitter_correlation", self.jitter_correlation > 0.0),
            jitter,
        )?;
        let lossy = self.loss > 0.0 || chains || self.four_state.is_some();
        needs(("ecn", self.ecn), ("a loss", lossy))?;
        needs(
            ("loss_correlation", self.loss_correlation > 0.0),
            ("loss", self.loss > 0.0),
        )?;
        let paced = ("a rate_bps or trace", trace || self.rate_bps > 0);
        needs(("queue", self.queue != super::Discipline::Tail), paced)?;
        needs(("queue_bytes", self.queue_bytes > 0), paced)?;
        needs(("queue_packets", self.queue_packets > 0), paced)?;
        let codel = ("queue = \"codel\"", self.queue == super::Discipline::Codel);
        needs(("codel_target_ms", self.codel_target_ms > 0.0), codel)?;
        needs(("codel_interval_ms", self.codel_interval_ms > 0.0), codel)?;
        let cells = ("cell_size", self.cell_size > 0);
        needs(("cell_overhead", self.cell_overhead != 0), cells)?;
        for (name, correlation, of, share) in [
            (
                "duplicate_correlation",
                self.duplicate_correlation,
                "duplicate",
                self.duplicate,
            ),
            (
                "corrupt_correlation",
                self.corrupt_correlation,
                "corrupt",
                self.corrupt,
            ),
            (
                "reorder_correlation",
                self.reorder_correlation,
                "reorder",
                self.reorder,
            ),
        ] {
            needs((name, correlation > 0.0), (of, share > 0.0))?;
        }
        Ok(())
    }
}

impl Handover {
    /// What is wrong with it: key, value, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        time("every_ms", self.every_ms as f64)?;
        if self.gap_ms == 0 || self.gap_ms >= self.every_ms {
            let (gap, every) = (self.gap_ms, self.every_ms);
            return Err(format!(
                "gap_ms is {gap}, it must be above 0 and less than every_ms, which is {every}"
            ));
        }
        Ok(())
    }
}

impl Flapping {
    /// What is wrong with it: key, value, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        time("first_ms", self.first_ms)?;
        time("up_ms", self.up_ms)?;
        time("down_ms", self.down_ms)?;
        time("down_max_ms", self.down_max_ms)?;
        needs(("an outage", true), ("an up_ms above 0", self.up_ms > 0.0))?;
        needs(
            ("an outage", true),
            ("a down_ms above 0", self.down_ms > 0.0),
        )?;
        excludes(
            ("exponential", self.exponential),
            ("down_max_ms", self.down_max_ms > 0.0),
        )?;
        if self.down_max_ms > 0.0 && self.down_max_ms < self.down_ms {
            let (min, max) = (self.down_ms, self.down_max_ms);
            return Err(format!(
                "down_max_ms is {max}, less than down_ms, which is {min}"
            ));
        }
        Ok(())
    }
}
