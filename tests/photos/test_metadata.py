"""Metadata of a few formats only: kept where it can be, and named where it cannot."""

import io
import struct
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from ppcn_jax.photos import xmp
from ppcn_jax.photos.carried import fit_metadata
from ppcn_jax.photos.jpeg_segments import iptc_of
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.png_chunks import insert_chunks
from ppcn_jax.photos.read import read_photo
from ppcn_jax.photos.write import encode_photo
from ppcn_jax.runtime.errors import InputError
from tests.photos.profiles import SRGB

PICTURE = Image.linear_gradient("L").resize((32, 24)).convert("RGB")
PIXELS = np.asarray(PICTURE)
IPTC = b"\x1c\x02\x74\0\x08(c) Jane\x1c\x02\x78\0\x07Harbour"


def resource(kind, content):
    return b"8BIM" + struct.pack(">HxxI", kind, len(content)) + content + bytes(len(content) % 2)


def segment(marker, content):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def packet(attributes, content=b""):
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        b'syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        b'dc:format="photo"'
        + attributes
        + b">"
        + content
        + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def saved(form="jpeg", **options):
    buffer = io.BytesIO()
    PICTURE.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture
def read(tmp_path):
    def read_content(content):
        (tmp_path / "x").write_bytes(content)
        return read_photo(tmp_path / "x")

    return read_content


def rewritten(read, photo, form):
    return read(encode_photo(photo, form))


def test_iptc_of_a_jpeg_without_its_thumbnail(read):
    parts = resource(1036, b"thumbnail") + resource(1028, IPTC) + resource(1005, bytes(16))
    jpeg = saved()
    photo = read(jpeg[:2] + segment(0xED, b"Photoshop 3.0\0" + parts) + jpeg[2:])
    assert photo.extras.resources == resource(1028, IPTC) + resource(1005, bytes(16))
    for form in ("jpeg", "tiff"):
        assert rewritten(read, photo, form).extras.resources == photo.extras.resources
        assert fit_metadata(photo, form).lost == []
    with Image.open(io.BytesIO(encode_photo(photo, "tiff"))) as image:
        assert image.tag_v2[33723] == IPTC
    assert fit_metadata(photo, "png").lost == ["IPTC data"]


def test_large_image_resources_of_a_tiff_fit_into_a_jpeg(read):
    photo = read(saved("tiff", tiffinfo={34377: resource(1060, b"x" * 150_001), 270: "a caption"}))
    again = rewritten(read, photo, "jpeg")
    assert (
        again.extras.resources == photo.extras.resources and len(photo.extras.resources) > 150_000
    )
    with Image.open(io.BytesIO(encode_photo(again, "jpeg"))) as image:
        assert image.getexif()[270] == "a caption"


def test_iptc_of_a_tiff(read):
    photo = read(saved("tiff", tiffinfo={33723: IPTC}))
    assert iptc_of(photo.extras.resources) == IPTC
    with Image.open(io.BytesIO(encode_photo(photo, "jpeg"))) as image:
        assert image.info["photoshop"][1028] == IPTC


@pytest.mark.parametrize("form", ["jpeg", "png", "tiff"])
def test_resolution(read, form):
    for source in ("jpeg", "png", "tiff"):
        photo = read(saved(source, dpi=(300, 150)))
        with Image.open(io.BytesIO(encode_photo(photo, form))) as image:
            np.testing.assert_allclose([float(x) for x in image.info["dpi"]], [300, 150], atol=0.02)


def test_resolution_per_centimeter_and_without_a_unit(read):
    jpeg = saved()
    for unit in (0, 2):
        density = struct.pack(">BHH", unit, 118, 59)
        content = encode_photo(read(jpeg[:13] + density + jpeg[18:]), "jpeg")
        assert content[13:18] == density
    png = insert_chunks(saved("png"), [(b"pHYs", struct.pack(">IIB", 3, 2, 0))])
    assert b"pHYs" + struct.pack(">IIB", 3, 2, 0) in encode_photo(read(png), "png")


def test_texts_of_a_png_and_comments_of_a_jpeg(read):
    info = PngImagePlugin.PngInfo()
    info.add_text("Copyright", "(c) Jane")
    info.add_itxt("Title", "Häfen", "de", "Titel", zip=True)
    info.add_itxt("XML:com.adobe.xmp", packet(b"").decode())
    photo = read(saved("png", pnginfo=info))
    with Image.open(io.BytesIO(encode_photo(photo, "png"))) as image:
        assert image.text["Copyright"] == "(c) Jane" and image.text["Title"] == "Häfen"
        assert image.text["Title"].lang == "de"
        assert encode_photo(photo, "png").count(b"XML:com.adobe.xmp") == 1
    assert fit_metadata(photo, "jpeg").lost == ["texts"]
    photo = read(saved(comment=b"by Jane"))
    with Image.open(io.BytesIO(encode_photo(photo, "jpeg"))) as image:
        assert image.info["comment"] == b"by Jane"
    assert fit_metadata(photo, "webp").lost == ["the comment"]


def test_bigtiff_keeps_its_tags(read, tmp_path):
    tags = [(315, 2, 0, "Jane", True), (33432, 2, 0, "(c) Jane", True)]
    options = {"description": "a caption", "resolution": (300, 300), "resolutionunit": 2}
    with tifffile.TiffWriter(tmp_path / "big", bigtiff=True) as file:
        file.write(
            PIXELS, photometric="rgb", iccprofile=SRGB, extratags=tags, metadata=None, **options
        )
    photo = read_photo(tmp_path / "big")
    for form in ("tiff", "jpeg"):
        with Image.open(io.BytesIO(encode_photo(photo, form))) as image:
            fields = image.getexif()
            assert [fields[tag] for tag in (270, 315, 33432)] == ["a caption", "Jane", "(c) Jane"]
            assert float(image.info["dpi"][0]) == 300 and image.info["icc_profile"] == SRGB


def extended_jpeg(body, name):
    short = packet(
        b' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="' + name + b'"'
    )
    head = b"http://ns.adobe.com/xmp/extension/\0" + name
    half = len(body) // 2
    parts = [
        struct.pack(">II", len(body), start) + part
        for start, part in ((half, body[half:]), (0, body[:half]))
    ]
    jpeg = saved(xmp=short)
    end = jpeg.index(b"\xff\xdb")
    return jpeg[:end] + b"".join(segment(0xE1, head + part) for part in parts) + jpeg[end:]


def test_extended_xmp(read):
    body = packet(b' dc:source="' + b"h" * 1000 + b'"')
    photo = read(extended_jpeg(body, xmp.guid(body)))
    assert photo.extras.xmp_extension == body
    again = rewritten(read, photo, "jpeg")
    assert (again.xmp, again.extras.xmp_extension) == (photo.xmp, body)
    carried = fit_metadata(photo, "png")
    assert carried.lost == ["extended XMP"] and b"HasExtendedXMP" not in carried.photo.xmp
    # A reference to what is not there is removed.
    photo = read(saved(xmp=photo.xmp))
    assert b"HasExtendedXMP" not in photo.xmp and b"dc:format" in photo.xmp


def test_xmp_too_long_for_a_jpeg_is_extended(read):
    body = packet(b' dc:source="' + b"h" * 140_000 + b'"')
    photo = read(saved("tiff", tiffinfo={700: body}))
    assert photo.xmp == body
    again = rewritten(read, photo, "jpeg")
    assert again.extras.xmp_extension == body and xmp.refers_to(again.xmp) == xmp.guid(body)
    assert fit_metadata(photo, "jpeg").lost == []


def test_what_is_said_of_gain_maps_and_motion_videos_is_removed(read):
    content = (
        b"<Container:Directory><rdf:Seq><rdf:li><Container:Item Item:Semantic='GainMap'/></rdf:li>"
        b"</rdf:Seq></Container:Directory><GCamera:MotionPhoto>1</GCamera:MotionPhoto>"
    )
    spaces = (
        b' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
        b' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
        b' xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
        b' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
        b" GCamera:MicroVideoOffset='5' GCamera:SpecialTypeID=\"portrait\""
    )
    photo = read(saved(xmp=packet(spaces, content)) + saved())
    kept = (
        b' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:SpecialTypeID="portrait"'
    )
    assert photo.xmp == packet(kept)
    assert xmp.without_other_pictures(packet(b"")) == packet(b"")


def test_exif_too_long_for_a_jpeg(read):
    fields = Image.Exif()
    fields[0x010F], fields[0x8769] = (
        "Camera",
        {0x9003: "2020:01:02 03:04:05", 0x927C: bytes(70_000)},
    )
    photo = Photo(PIXELS, None, False, "tiff", block=fields.tobytes()[6:])
    assert fit_metadata(photo, "jpeg").lost == ["the camera's maker note"]
    with Image.open(io.BytesIO(encode_photo(photo, "jpeg"))) as image:
        assert image.getexif()[0x010F] == "Camera"
        assert image.getexif().get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    fields[0x010E] = "x" * 70_000
    photo = Photo(PIXELS, None, False, "tiff", block=fields.tobytes()[6:])
    assert fit_metadata(photo, "jpeg").lost == ["EXIF data"]
    assert "exif" not in Image.open(io.BytesIO(encode_photo(photo, "jpeg"))).info


@pytest.mark.parametrize("form", ["tiff", "jpeg", "png", "webp"])
def test_damaged_exif_never_spoils_the_file(form):
    # The compression and the page's size, as an entry that points beyond the end.
    entry = struct.pack("<HHII", 0x0103, 2, 5, 10**9) + struct.pack("<HHII", 0x014A, 4, 9, 10**9)
    for block in (b"II*\0\x08\0\0\0\2\0" + entry, b"MM\0*\0\0\0\x08\0\x05" + bytes(30)):
        content = encode_photo(Photo(PIXELS, None, False, "png", block=block), form)
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
            image.load()
            assert image.size == PICTURE.size


def test_a_fifth_channel_is_refused(tmp_path):
    samples = np.dstack([PIXELS, PIXELS[..., :2]])
    tifffile.imwrite(tmp_path / "x.tif", samples, photometric="rgb", extrasamples=["unassalpha", 0])
    with pytest.raises(InputError, match=r"x\.tif has 5 channels; 4 \(color and alpha\)"):
        read_photo(tmp_path / "x.tif")
