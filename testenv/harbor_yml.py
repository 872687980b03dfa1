"""harbor.yml, as an administrator has filled it in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from testenv import keys

if TYPE_CHECKING:
    from testenv.buckets import Storage
    from testenv.site import Site


def _bucket(images: Storage) -> dict[str, object]:
    return {
        "accesskey": images.key_id,
        "secretkey": images.secret,
        "region": images.region,
        "regionendpoint": images.endpoint,
        "bucket": images.bucket,
        "encrypt": False,
        "secure": False,
        "v4auth": True,
        "chunksize": 5242880,
        "rootdirectory": f"/{images.prefix}",
    }


def write(site: Site) -> None:
    """Write harbor.yml for a site whose ports are known."""
    settings: dict[str, object] = {
        "hostname": keys.HOSTNAME,
        "external_url": f"https://{keys.HOSTNAME}",
        "http": {"port": 80},
        "https": {
            "port": 443,
            "certificate": str(site.tls / "server.crt"),
            "private_key": str(site.tls / "server.key"),
        },
        "harbor_admin_password": site.planted["administrator password"],
        "database": {
            "password": "root123",
            "max_idle_conns": 100,
            "max_open_conns": 900,
            "conn_max_lifetime": "5m",
            "conn_max_idle_time": 0,
        },
        "data_volume": str(site.data),
        "trivy": {"ignore_unfixed": False, "skip_update": False, "offline_scan": False, "insecure": False},
        "jobservice": {"max_job_workers": 10, "job_loggers": ["STD_OUTPUT", "FILE"]},
        "notification": {"webhook_job_max_retry": 3, "webhook_job_http_client_timeout": 3},
        "log": {"level": "info", "local": {"rotate_count": 50, "location": "/var/log/harbor"}},
        "_version": "2.14.0",
        "external_database": {
            "harbor": {
                "host": "127.0.0.1",
                "port": site.database_port,
                "db_name": site.database_name,
                "username": site.database_user,
                "password": site.planted["database password"],
                "ssl_mode": "disable",
            }
        },
        "proxy": {"http_proxy": None, "https_proxy": None, "components": ["core", "jobservice", "trivy"]},
        "upload_purging": {"enabled": True, "age": "168h", "interval": "24h", "dryrun": False},
        "cache": {"enabled": False, "expire_hours": 24},
    }  # fmt: skip
    if site.images:
        settings["storage_service"] = {"s3": _bucket(site.images)}
    text = "# Configuration file of Harbor\n" + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    keys.write(site.harbor_yml, text.encode(), secret=True)
