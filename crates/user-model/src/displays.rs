use candle_core::{Device, Tensor};
use foretaste_data::PaddedBatch;

use crate::Result;

/// The steps of some sessions as what a model of choice sees: displays, and the clicks before each.
pub(crate) struct Displays {
    /// Items of all slates one after the other, `[entries]`.
    pub shown: Vec<u32>,
    /// The display of each entry, `[entries]`.
    pub display_of_entry: Tensor,
    /// For each place `[displays · places]` 1 + its entry, or 0 where the slate has no such place.
    pub entry_of_place: Tensor,
    /// Whether the slate has the place, `[displays, places]` (u8).
    pub mask: Tensor,
    /// The chosen option, `[displays]`: a place, or `places` where nothing was chosen.
    pub chosen: Tensor,
    /// The chosen place, on the host.
    pub choices: Vec<Option<usize>>,
    /// Number of items of each slate.
    pub sizes: Vec<usize>,
    /// Places of the largest slate.
    pub places: usize,
    /// The clicks before each display.
    pub histories: Histories,
}

/// Click sequences, and which prefix of which sequence lies before each display.
#[derive(Default)]
pub(crate) struct Histories {
    /// The sequences that some display needs, none of them empty.
    pub sequences: Vec<Vec<u32>>,
    /// For each display: the sequence and the number of its clicks that come before; none is the
    /// empty history.
    pub before: Vec<Option<(usize, usize)>>,
}

impl Displays {
    pub fn new(batch: &PaddedBatch, device: &Device) -> Result<Self> {
        let mut histories = Histories::default();
        let (mut shown, mut display_of_entry, mut entry_of_place) =
            (Vec::new(), Vec::new(), Vec::new());
        let (mut mask, mut choices, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..batch.rows {
            let mut clicks = Vec::new();
            let sequence = histories.sequences.len();
            let mut needed = 0;
            for cell in row * batch.steps..(row + 1) * batch.steps {
                if !batch.step_mask[cell] {
                    continue;
                }
                histories.before.push((!clicks.is_empty()).then_some((sequence, clicks.len())));
                needed = clicks.len();
                let entries = shown.len();
                for place in cell * batch.places..(cell + 1) * batch.places {
                    mask.push(u8::from(batch.shown_mask[place]));
                    if batch.shown_mask[place] {
                        display_of_entry.push(choices.len() as u32);
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
                histories.sequences.push(clicks);
            }
        }
        let chosen: Vec<u32> =
            choices.iter().map(|choice| choice.unwrap_or(batch.places) as u32).collect();
        let displays = choices.len();
        Ok(Self {
            shown,
            display_of_entry: Tensor::new(display_of_entry, device)?,
            entry_of_place: Tensor::new(entry_of_place, device)?,
            mask: Tensor::from_vec(mask, (displays, batch.places), device)?,
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
