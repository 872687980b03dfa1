-- The tables of Harbor 2.14.0 (schema 170): its migrations run one after another come to this.
-- What only speeds queries up stands in indices.sql, which is applied after the tables are filled.

-- People and projects
CREATE TABLE harbor_user (
    user_id serial PRIMARY KEY, username varchar(255) UNIQUE, email varchar(255) UNIQUE,
    password varchar(40) NOT NULL, realname varchar(255) NOT NULL, comment varchar(30),
    deleted boolean NOT NULL DEFAULT false, reset_uuid varchar(40), salt varchar(40),
    sysadmin_flag boolean NOT NULL DEFAULT false, creation_time timestamp DEFAULT now(),
    update_time timestamp DEFAULT now(), password_version varchar(16) DEFAULT 'sha256'
);
CREATE TABLE user_group (
    id serial PRIMARY KEY, group_name varchar(255) NOT NULL UNIQUE, group_type smallint DEFAULT 0,
    ldap_group_dn varchar(512) NOT NULL, creation_time timestamp DEFAULT now(),
    update_time timestamp DEFAULT now()
);
CREATE TABLE role (
    role_id serial PRIMARY KEY, role_mask int NOT NULL DEFAULT 0, role_code varchar(20), name varchar(20)
);
CREATE TABLE access (
    access_id serial PRIMARY KEY, access_code character(1), comment varchar(30)
);
CREATE TABLE project (
    project_id serial PRIMARY KEY, owner_id int NOT NULL REFERENCES harbor_user(user_id),
    name varchar(255) NOT NULL UNIQUE, creation_time timestamp DEFAULT now(),
    update_time timestamp DEFAULT now(), deleted boolean NOT NULL DEFAULT false, registry_id int
);
CREATE TABLE project_metadata (
    id serial PRIMARY KEY, project_id int NOT NULL REFERENCES project(project_id),
    name varchar(255) NOT NULL, value varchar(255), creation_time timestamp DEFAULT now(),
    update_time timestamp DEFAULT now(), UNIQUE (project_id, name)
);
CREATE TABLE project_member (
    id serial PRIMARY KEY, project_id int NOT NULL, entity_id int NOT NULL,
    entity_type character(1) NOT NULL, role int NOT NULL, creation_time timestamp DEFAULT now(),
    update_time timestamp DEFAULT now(), UNIQUE (project_id, entity_id, entity_type)
);
CREATE TABLE quota (
    id serial PRIMARY KEY, reference varchar(255) NOT NULL, reference_id varchar(255) NOT NULL,
    hard jsonb NOT NULL, creation_time timestamp DEFAULT now(), update_time timestamp DEFAULT now(),
    version bigint DEFAULT 0, UNIQUE (reference, reference_id)
);
CREATE TABLE quota_usage (
    id serial PRIMARY KEY, reference varchar(255) NOT NULL, reference_id varchar(255) NOT NULL,
    used jsonb NOT NULL, creation_time timestamp DEFAULT now(), update_time timestamp DEFAULT now(),
    version bigint DEFAULT 0, UNIQUE (reference, reference_id)
);
CREATE TABLE cve_allowlist (
    id serial PRIMARY KEY, project_id int UNIQUE, creation_time timestamp DEFAULT now(),
    update_time timestamp DEFAULT now(), expires_at bigint, items text NOT NULL
);

-- Repositories, artifacts and tags. Note the foreign keys that are not there: none from artifact
-- or tag to repository or project, none between artifact_blob or project_blob and blob.
CREATE TABLE registry (
    id serial PRIMARY KEY, name varchar(64) UNIQUE, url varchar(256), access_key varchar(255),
    access_secret varchar(4096), insecure boolean NOT NULL DEFAULT false,
    creation_time timestamp DEFAULT now(), update_time timestamp DEFAULT now(), credential_type varchar(16),
    type varchar(32), description text, health varchar(16)
);
CREATE TABLE repository (
    repository_id serial PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, project_id int NOT NULL,
    description text, pull_count int NOT NULL DEFAULT 0, star_count int NOT NULL DEFAULT 0,
    creation_time timestamp DEFAULT now(), update_time timestamp DEFAULT now()
);
CREATE TABLE artifact (
    id serial PRIMARY KEY, project_id int NOT NULL, repository_name varchar(255) NOT NULL,
    digest varchar(255) NOT NULL, type varchar(255) NOT NULL, pull_time timestamp, push_time timestamp,
    repository_id int NOT NULL, media_type varchar(255) NOT NULL, manifest_media_type varchar(255) NOT NULL,
    size bigint, extra_attrs text, annotations jsonb, icon varchar(255),
    artifact_type varchar(255) NOT NULL, UNIQUE (repository_id, digest)
);
CREATE TABLE artifact_reference (
    id serial PRIMARY KEY, parent_id int NOT NULL REFERENCES artifact(id),
    child_id int NOT NULL REFERENCES artifact(id), child_digest varchar(255) NOT NULL,
    platform varchar(255), urls varchar(1024), annotations jsonb, UNIQUE (parent_id, child_id)
);
CREATE TABLE tag (
    id serial PRIMARY KEY, repository_id int NOT NULL, artifact_id int NOT NULL REFERENCES artifact(id),
    name varchar(255) NOT NULL, push_time timestamp DEFAULT now(), pull_time timestamp,
    UNIQUE (repository_id, name)
);
CREATE TABLE harbor_label (
    id serial PRIMARY KEY, name varchar(128) NOT NULL, description text, color varchar(16),
    level character(1) NOT NULL, scope character(1) NOT NULL, project_id int,
    creation_time timestamp DEFAULT now(), update_time timestamp DEFAULT now(),
    deleted boolean NOT NULL DEFAULT false, UNIQUE (name, scope, project_id)
);
CREATE TABLE label_reference (
    id serial PRIMARY KEY, label_id int NOT NULL REFERENCES harbor_label(id),
    artifact_id int NOT NULL REFERENCES artifact(id), creation_time timestamp DEFAULT now(),
    update_time timestamp DEFAULT now(), UNIQUE (label_id, artifact_id)
);
CREATE TABLE artifact_trash (
    id serial PRIMARY KEY, media_type varchar(255) NOT NULL, manifest_media_type varchar(255) NOT NULL,
    repository_name varchar(255) NOT NULL, digest varchar(255) NOT NULL,
    creation_time timestamp DEFAULT now(), UNIQUE (repository_name, digest)
);
CREATE TABLE artifact_accessory (
    id serial PRIMARY KEY, artifact_id bigint REFERENCES artifact(id), subject_artifact_id bigint,
    type varchar(256), size bigint, digest varchar(1024), creation_time timestamp DEFAULT now(),
    subject_artifact_digest varchar(1024), subject_artifact_repo varchar(1024),
    UNIQUE (artifact_id, subject_artifact_digest)
);
CREATE TABLE blob (
    id serial PRIMARY KEY, digest varchar(255) NOT NULL UNIQUE, content_type varchar(1024) NOT NULL,
    size bigint NOT NULL, creation_time timestamp DEFAULT now(), update_time timestamp DEFAULT now(),
    status varchar(255) DEFAULT 'none', version bigint DEFAULT 0
);
CREATE TABLE artifact_blob (
    id serial PRIMARY KEY, digest_af varchar(255) NOT NULL, digest_blob varchar(255) NOT NULL,
    creation_time timestamp DEFAULT now(), UNIQUE (digest_af, digest_blob)
);
CREATE TABLE project_blob (
    id serial PRIMARY KEY, project_id int NOT NULL, blob_id int NOT NULL,
    creation_time timestamp DEFAULT now(), UNIQUE (project_id, blob_id)
);
CREATE TABLE system_artifact (
    id serial PRIMARY KEY, repository varchar(256) NOT NULL, digest varchar(255) NOT NULL DEFAULT '',
    size bigint NOT NULL DEFAULT 0, vendor varchar(255) NOT NULL DEFAULT '',
    type varchar(255) NOT NULL DEFAULT '', create_time timestamp DEFAULT now(),
    extra_attrs text NOT NULL DEFAULT '', UNIQUE (repository, digest, vendor)
);

-- Robots and permissions
CREATE TABLE robot (
    id serial PRIMARY KEY, name varchar(255), description varchar(1024), project_id int, expiresat bigint,
    disabled boolean NOT NULL DEFAULT false, creation_time timestamp DEFAULT now(),
    update_time timestamp DEFAULT now(), visible boolean NOT NULL DEFAULT true, secret varchar(2048),
    salt varchar(64), duration int, creator_ref int DEFAULT 0, creator_type varchar(255),
    UNIQUE (name, project_id)
);
CREATE TABLE permission_policy (
    id bigserial PRIMARY KEY, scope varchar(255) NOT NULL, resource varchar(255), action varchar(255),
    effect varchar(255), creation_time timestamp DEFAULT now(), UNIQUE (scope, resource, action, effect)
);
CREATE TABLE role_permission (
    id bigserial PRIMARY KEY, role_type varchar(255) NOT NULL, role_id int NOT NULL,
    permission_policy_id bigint NOT NULL, creation_time timestamp DEFAULT now(),
    UNIQUE (role_type, role_id, permission_policy_id)
);
CREATE TABLE oidc_user (
    id serial PRIMARY KEY, user_id int NOT NULL REFERENCES harbor_user(user_id),
    secret varchar(255) NOT NULL, subiss varchar(255) NOT NULL UNIQUE, token text,
    creation_time timestamp DEFAULT now(), update_time timestamp DEFAULT now()
);

-- Settings
CREATE TABLE properties (
    id serial PRIMARY KEY, k varchar(64) NOT NULL UNIQUE, v text NOT NULL
);

-- Policies
CREATE TABLE retention_policy (
    id serial PRIMARY KEY, scope_level varchar(20), scope_reference int, trigger_kind varchar(20),
    data text, create_time timestamp, update_time timestamp
);
CREATE TABLE immutable_tag_rule (
    id serial PRIMARY KEY, project_id int NOT NULL, tag_filter text,
    disabled boolean NOT NULL DEFAULT false, creation_time timestamp DEFAULT now(),
    UNIQUE (project_id, tag_filter)
);
CREATE TABLE notification_policy (
    id serial PRIMARY KEY, name varchar(256), project_id int NOT NULL,
    enabled boolean NOT NULL DEFAULT true, description text, targets text, event_types text,
    creator varchar(256), creation_time timestamp DEFAULT now(), update_time timestamp DEFAULT now(),
    UNIQUE (name, project_id)
);
CREATE TABLE replication_policy (
    id serial PRIMARY KEY, name varchar(256) UNIQUE, dest_registry_id int,
    enabled boolean NOT NULL DEFAULT true, description text, deleted boolean NOT NULL DEFAULT false,
    trigger varchar(256), filters varchar(1024), replicate_deletion boolean NOT NULL DEFAULT false,
    start_time timestamp, creation_time timestamp DEFAULT now(), update_time timestamp DEFAULT now(),
    creator varchar(256), src_registry_id int, dest_namespace varchar(256), override boolean,
    dest_namespace_replace_count int, speed_kb int, copy_by_chunk boolean, single_active_replication boolean
);
CREATE TABLE p2p_preheat_instance (
    id serial PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, description varchar(255),
    vendor varchar(255) NOT NULL, endpoint varchar(255) NOT NULL, auth_mode varchar(255), auth_data text,
    enabled boolean, is_default boolean, insecure boolean, setup_timestamp int
);
CREATE TABLE p2p_preheat_policy (
    id serial PRIMARY KEY, name varchar(255) NOT NULL, description varchar(1024), project_id int NOT NULL,
    provider_id int NOT NULL, filters varchar(1024), trigger varchar(255), enabled boolean,
    creation_time timestamp, update_time timestamp, extra_attrs text, UNIQUE (name, project_id)
);

-- Scans
CREATE TABLE scanner_registration (
    id serial PRIMARY KEY, uuid varchar(64) NOT NULL UNIQUE, url varchar(256) NOT NULL UNIQUE,
    name varchar(128) NOT NULL UNIQUE, description varchar(1024), auth varchar(16) NOT NULL,
    access_cred varchar(512), disabled boolean NOT NULL DEFAULT false,
    is_default boolean NOT NULL DEFAULT false, use_internal_addr boolean NOT NULL DEFAULT false,
    immutable boolean NOT NULL DEFAULT false, skip_cert_verify boolean NOT NULL DEFAULT false,
    create_time timestamp DEFAULT now(), update_time timestamp DEFAULT now()
);
CREATE TABLE scan_report (
    id serial PRIMARY KEY, uuid varchar(64) NOT NULL UNIQUE, digest varchar(256) NOT NULL,
    registration_uuid varchar(64) NOT NULL, mime_type varchar(256) NOT NULL, report json,
    critical_cnt bigint, high_cnt bigint, medium_cnt bigint, low_cnt bigint, none_cnt bigint,
    unknown_cnt bigint, fixable_cnt bigint, UNIQUE (digest, registration_uuid, mime_type)
);
CREATE TABLE vulnerability_record (
    id bigserial PRIMARY KEY, cve_id text NOT NULL DEFAULT '',
    registration_uuid text NOT NULL DEFAULT '' REFERENCES scanner_registration(uuid) ON DELETE CASCADE,
    package text NOT NULL DEFAULT '', package_version text NOT NULL DEFAULT '',
    package_type text NOT NULL DEFAULT '', severity text NOT NULL DEFAULT '', fixed_version text, urls text,
    cvss_score_v3 double precision, cvss_score_v2 double precision, cvss_vector_v3 text,
    cvss_vector_v2 text, description text, cwe_ids text, vendor_attributes json, status text,
    UNIQUE (cve_id, registration_uuid, package, package_version)
);
CREATE TABLE report_vulnerability_record (
    id bigserial PRIMARY KEY,
    report_uuid text NOT NULL DEFAULT '' REFERENCES scan_report(uuid) ON DELETE CASCADE,
    vuln_record_id bigint NOT NULL DEFAULT 0 REFERENCES vulnerability_record(id) ON DELETE CASCADE,
    UNIQUE (report_uuid, vuln_record_id)
);
CREATE TABLE sbom_report (
    id serial PRIMARY KEY, uuid varchar(64) NOT NULL UNIQUE, artifact_id int NOT NULL,
    registration_uuid varchar(64) NOT NULL, mime_type varchar(256) NOT NULL,
    media_type varchar(256) NOT NULL, report json,
    UNIQUE (artifact_id, registration_uuid, mime_type, media_type)
);

-- Jobs
CREATE TABLE schedule (
    id serial PRIMARY KEY, creation_time timestamp DEFAULT now(), update_time timestamp DEFAULT now(),
    vendor_type varchar(64), vendor_id int, cron varchar(64), callback_func_name varchar(128),
    callback_func_param text, cron_type varchar(64), extra_attrs json, revision int,
    UNIQUE (vendor_type, vendor_id)
);
CREATE TABLE execution (
    id serial PRIMARY KEY, vendor_type varchar(64) NOT NULL, vendor_id int, status varchar(16),
    status_message text, trigger varchar(16) NOT NULL, extra_attrs json, start_time timestamp DEFAULT now(),
    end_time timestamp, revision int, update_time timestamp
);
CREATE TABLE task (
    id serial PRIMARY KEY, execution_id int NOT NULL REFERENCES execution(id), job_id varchar(64),
    status varchar(16) NOT NULL, status_code int NOT NULL, status_revision int, status_message text,
    run_count int, extra_attrs json, creation_time timestamp DEFAULT now(), start_time timestamp,
    update_time timestamp, end_time timestamp, vendor_type varchar(64) NOT NULL
);
CREATE TABLE job_log (
    log_id serial PRIMARY KEY, job_uuid varchar(64) NOT NULL, creation_time timestamp DEFAULT now(),
    content text
);
CREATE TABLE job_queue_status (
    id serial PRIMARY KEY, job_type varchar(256) NOT NULL UNIQUE, paused boolean NOT NULL DEFAULT false,
    update_time timestamptz NOT NULL DEFAULT now()
);

-- Audit log
CREATE TABLE audit_log (
    id serial PRIMARY KEY, project_id int NOT NULL, operation varchar(20) NOT NULL,
    resource_type varchar(255) NOT NULL, resource varchar(1024) NOT NULL, username varchar(255) NOT NULL,
    op_time timestamp DEFAULT now()
);
CREATE TABLE audit_log_ext (
    id bigserial PRIMARY KEY, project_id bigint, operation varchar(50), resource_type varchar(255),
    resource varchar(1024), username varchar(255), op_desc varchar(1024), op_result boolean DEFAULT true,
    payload text, source_ip varchar(50), op_time timestamp DEFAULT now()
);

-- The state of the schema itself
CREATE TABLE data_migrations (
    id serial PRIMARY KEY, version int, creation_time timestamp DEFAULT now(),
    update_time timestamp DEFAULT now()
);
CREATE TABLE alembic_version (
    version_num varchar(32) NOT NULL
);
CREATE TABLE schema_migrations (
    version bigint PRIMARY KEY, dirty boolean NOT NULL
);

CREATE FUNCTION update_update_time_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.update_time = now();
    RETURN NEW;
END;
$$;
CREATE TRIGGER harbor_user_update_time_at_modtime BEFORE UPDATE ON harbor_user
    FOR EACH ROW EXECUTE FUNCTION update_update_time_at_column();
CREATE TRIGGER project_update_time_at_modtime BEFORE UPDATE ON project
    FOR EACH ROW EXECUTE FUNCTION update_update_time_at_column();
CREATE TRIGGER project_member_update_time_at_modtime BEFORE UPDATE ON project_member
    FOR EACH ROW EXECUTE FUNCTION update_update_time_at_column();
CREATE TRIGGER project_metadata_update_time_at_modtime BEFORE UPDATE ON project_metadata
    FOR EACH ROW EXECUTE FUNCTION update_update_time_at_column();
CREATE TRIGGER user_group_update_time_at_modtime BEFORE UPDATE ON user_group
    FOR EACH ROW EXECUTE FUNCTION update_update_time_at_column();
CREATE TRIGGER repository_update_time_at_modtime BEFORE UPDATE ON repository
    FOR EACH ROW EXECUTE FUNCTION update_update_time_at_column();
CREATE TRIGGER replication_policy_update_time_at_modtime BEFORE UPDATE ON replication_policy
    FOR EACH ROW EXECUTE FUNCTION update_update_time_at_column();
CREATE TRIGGER harbor_label_update_time_at_modtime BEFORE UPDATE ON harbor_label
    FOR EACH ROW EXECUTE FUNCTION update_update_time_at_column();
CREATE TRIGGER robot_update_time_at_modtime BEFORE UPDATE ON robot
    FOR EACH ROW EXECUTE FUNCTION update_update_time_at_column();
CREATE TRIGGER oidc_user_update_time_at_modtime BEFORE UPDATE ON oidc_user
    FOR EACH ROW EXECUTE FUNCTION update_update_time_at_column();

-- What Harbor's own migrations put in.
INSERT INTO role (role_id, role_code, role_mask, name) VALUES
    (1, 'MDRWS', 0, 'projectAdmin'), (2, 'RWS', 0, 'developer'), (3, 'RS', 0, 'guest'),
    (4, 'DRWS', 0, 'maintainer'), (5, 'LRS', 0, 'limitedGuest');
SELECT setval('role_role_id_seq', 5);
INSERT INTO access (access_code, comment) VALUES
    ('M', 'Management access for project'), ('R', 'Read access for project'),
    ('W', 'Write access for project'), ('D', 'Delete access for project'), ('S', 'Search access for project');
INSERT INTO data_migrations (version) VALUES (30);
INSERT INTO alembic_version VALUES ('1.6.0');
INSERT INTO schema_migrations VALUES (170, false);
