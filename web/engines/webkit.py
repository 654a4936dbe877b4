#!/usr/bin/python3
"""A window of WebKitGTK that WebDriver can drive, on a profile: webkit.py [PROFILE [QUOTA]].

MiniBrowser --automation keeps nothing on disk, and this does. Without a profile it is a private window. QUOTA is
what an origin may store, as a part of the volume that the profile is on.
"""

import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import Gtk, WebKit2  # noqa: E402


def manager(profile=None, quota="-1"):
    if profile is None:
        return WebKit2.WebsiteDataManager(is_ephemeral=True)
    return WebKit2.WebsiteDataManager(
        base_data_directory=profile + "/data",
        base_cache_directory=profile + "/cache",
        origin_storage_ratio=float(quota),
    )


context = WebKit2.WebContext(website_data_manager=manager(*sys.argv[1:]))
context.set_automation_allowed(True)


def create_view(_session):
    view = WebKit2.WebView(web_context=context, is_controlled_by_automation=True)
    window = Gtk.Window(default_width=800, default_height=600)
    window.add(view)
    view.connect("close", lambda _: window.destroy())
    window.connect("destroy", lambda _: Gtk.Window.list_toplevels() or Gtk.main_quit())
    window.show_all()
    return view


def begin(_context, session):
    info = WebKit2.ApplicationInfo()
    info.set_name("WebKitGTK")
    info.set_version(WebKit2.get_major_version(), WebKit2.get_minor_version(), WebKit2.get_micro_version())
    session.set_application_info(info)
    session.connect("create-web-view", create_view)


context.connect("automation-started", begin)
Gtk.main()
