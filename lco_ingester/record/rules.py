"""The settings of a site for making records and storing frames, as plain values."""

from dataclasses import dataclass, fields

from lco_ingester.settings import Settings


@dataclass(frozen=True, slots=True)
class Keywords:
    """The keywords of a site's headers; each is explained in `Settings`, as `<name>_key`."""

    observation_date: str
    observation_day: str
    observation_end_time: str
    reduction_level: str
    exposure_time: str
    instrument_id: str
    site_id: str
    telescope_id: str
    observation_id: str
    configuration_id: str
    primary_optical_element: str
    target_name: str
    request_id: str
    requestgroup_id: str
    configuration_type: str
    proposal_id: str
    catalog_target_frame: str
    public_date: str
    radius: str
    ra: str
    dec: str
    thumbnail_frame_filename: str

    @classmethod
    def of(cls, settings: Settings) -> "Keywords":
        """The keywords that the settings name."""
        return cls(**{field.name: getattr(settings, f"{field.name}_key") for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class RecordRules:
    """What a site decides; the fields are explained in `Settings`, `keys` are its `…_key` fields."""

    archive_record_format: str
    required_headers: tuple[str, ...]
    header_blacklist: tuple[str, ...]
    null_header_values: tuple[str, ...]
    calibration_types: tuple[str, ...]
    public_proposals: tuple[str, ...]
    private_proposals: tuple[str, ...]
    private_file_types: tuple[str, ...]
    days_until_public: int
    related_frame_keys: tuple[str, ...]
    storage_class_old: str
    keys: Keywords

    @classmethod
    def of(cls, settings: Settings) -> "RecordRules":
        """The rules that the settings hold."""
        own = {field.name: getattr(settings, field.name) for field in fields(cls) if field.name != "keys"}
        return cls(**own, keys=Keywords.of(settings))
