//! From padded batches to the index tensors of a user model: slates without padding, and the clicks
//! before each, which the encoders turn into states.

use candle_core::{Device, Tensor};
use foretaste_data::PaddedBatch;

use crate::Result;

/// The steps of some sessions as what a model of choice sees: slates, and the clicks before each.
pub(crate) struct Impressions {
    /// Items of all slates one after the other, `[entries]`.
    pub shown: Vec<u32>,
    /// The slate of each entry, `[entries]`.
    pub slate_of_entry: Tensor,
    /// For each place `[impressions · places]` 1 + its entry, or 0 where the slate has no such
    /// place.
    pub entry_of_place: Tensor,
    /// Context features of each entry, `[entries, dim]`, where the model takes them.
    pub context: Option<Tensor>,
    /// Whether the slate has the place, `[impressions, places]` (u8).
    pub mask: Tensor,
    /// The chosen option, `[impressions]`: a place, or `places` where nothing was chosen.
    pub chosen: Tensor,
    /// The chosen place, on the host.
    pub choices: Vec<Option<usize>>,
    /// Number of items of each slate.
    pub sizes: Vec<usize>,
    /// Places of the largest slate.
    pub places: usize,
    /// The clicks before each slate.
    pub histories: Histories,
}

/// The clicks of some sessions, and how many of which session are before each slate. An organic
/// event is a click of the history.
#[derive(Default)]
pub(crate) struct Histories {
    /// The clicks of each session, oldest first, as far as some slate needs them; none is empty.
    pub sessions: Vec<Vec<u32>>,
    /// For each slate: the session and the number of its clicks that come before; none is the
    /// empty history.
    pub before: Vec<Option<(usize, usize)>>,
}

impl Histories {
    /// A slate after these clicks, oldest first.
    pub fn push(&mut self, clicks: Vec<u32>) {
        let before = (self.sessions.len(), clicks.len());
        self.before.push((!clicks.is_empty()).then_some(before));
        self.sessions.extend((!clicks.is_empty()).then_some(clicks));
    }
}

impl Impressions {
    pub fn new(batch: &PaddedBatch, device: &Device) -> Result<Self> {
        let mut histories = Histories::default();
        let (mut shown, mut slate_of_entry, mut entry_of_place) =
            (Vec::new(), Vec::new(), Vec::new());
        let (mut mask, mut choices, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        let mut events = batch.events.iter().peekable();
        for row in 0..batch.rows {
            let mut clicks = Vec::new();
            let session = histories.sessions.len();
            let mut needed = 0;
            for cell in row * batch.steps..(row + 1) * batch.steps {
                if !batch.step_mask[cell] {
                    continue;
                }
                while let Some((_, item)) = events.next_if(|(before, _)| *before == cell) {
                    clicks.push(*item);
                }
                histories.before.push((!clicks.is_empty()).then_some((session, clicks.len())));
                needed = clicks.len();
                let entries = shown.len();
                for place in cell * batch.places..(cell + 1) * batch.places {
                    mask.push(u8::from(batch.shown_mask[place]));
                    if batch.shown_mask[place] {
                        slate_of_entry.push(choices.len() as u32);
                        shown.push(batch.shown[place]);
                        entry_of_place.push(shown.len() as u32);
                    } else {
                        entry_of_place.push(0);
                    }
                }
                sizes.push(shown.len() - entries);
                choices.push(batch.clicked_mask[cell].then_some(batch.chosen[cell] as usize));
                clicks.extend(batch.clicked_mask[cell].then_some(batch.clicked[cell]));
            }
            if needed > 0 {
                clicks.truncate(needed);
                histories.sessions.push(clicks);
            }
        }
        let chosen: Vec<u32> =
            choices.iter().map(|choice| choice.unwrap_or(batch.places) as u32).collect();
        let impressions = choices.len();
        Ok(Self {
            shown,
            slate_of_entry: Tensor::new(slate_of_entry, device)?,
            entry_of_place: Tensor::new(entry_of_place, device)?,
            context: None,
            mask: Tensor::from_vec(mask, (impressions, batch.places), device)?,
            chosen: Tensor::new(chosen, device)?,
            choices,
            sizes,
            places: batch.places,
            histories,
        })
    }

    pub fn len(&self) -> usize {
        self.choices.len()
    }
}
