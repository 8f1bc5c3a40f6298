//! SVG to PNG.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, Family, Query};
use resvg::usvg::{Options, Tree};

/// Pixels of the PNG per pixel of the SVG.
const SCALE: f32 = 2.0;

/// The only font: what is installed on the machine must not show in the picture.
static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    let family =
        fonts.faces().next().and_then(|face| face.families.first()).map(|(name, _)| name.clone());
    if let Some(family) = family {
        fonts.set_sans_serif_family(family);
    }
    Arc::new(fonts)
});

/// The picture at [`SCALE`] times its size.
pub fn png(svg: &str) -> Result<Vec<u8>, String> {
    let fonts = Arc::clone(&FONTS);
    if fonts.query(&Query { families: &[Family::SansSerif], ..Query::default() }).is_none() {
        return Err("the font that comes with the program cannot be read".into());
    }
    let tree = Tree::from_str(svg, &Options { fontdb: fonts, ..Options::default() })
        .map_err(|error| error.to_string())?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or("it is too large")?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or("it is too large")?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| error.to_string())
}
