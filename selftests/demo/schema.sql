-- SPDX-License-Identifier: GPL-2.0-only
create table done(client int, n int, primary key(client, n)); create table package(id integer primary key, part int, name text unique, version text, section text, priority text, size int, installed int, text text, touched int); create table depends(id int, n int, alternative int, needs text); create index by_id on depends(id)
