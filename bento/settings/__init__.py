"""The settings of the service, read once from the environment.

No other module of `bento` reads environment variables.
"""

from bento.settings.fields import CLONE, Settings, WrongSetting, settings_table, shown_settings

__all__ = ["CLONE", "Settings", "WrongSetting", "settings_table", "shown_settings"]
