#!/usr/bin/env python3
"""Writes an agent log and a message tracking log of a million rows each for bench/run: bench/tables.py FOLDER."""
import datetime
import os
import random
import sys

rnd = random.Random(1)
start = datetime.datetime(2026, 3, 2)
agent = "Timestamp,SessionId,LocalEndpoint,RemoteEndpoint,EnteredOrgFromIP,MessageId,P1FromAddress,P2FromAddresses,Recipient,NumRecipients,Agent,Event,Action,SmtpResponse,Reason,ReasonData,Diagnostics,NetworkMsgID,TenantID,Directionality"
tracking = "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality,tenant-id,original-client-ip,original-server-ip,custom-data,transport-traffic-type,log-id,schema-version"


def head(f, kind, fields):
    f.write(f"\ufeff#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: {kind}\r\n#Date: 2026-03-02T00:00:00.000Z\r\n#Fields: {fields}\r\n")


def stamp(n):
    return (start + datetime.timedelta(milliseconds=170 * n)).isoformat(timespec="milliseconds") + "Z"


sources = [f"250.{rnd.randrange(256)}.{rnd.randrange(256)}.{rnd.randrange(1, 255)}" for _ in range(5000)]
with open(os.path.join(sys.argv[1], "agent.log"), "w", newline="", encoding="utf-8") as f:
    head(f, "Agent Log", agent)
    for n in range(1_000_000):
        ip = rnd.choice(sources)
        f.write(f"{stamp(n)},08D3E5F6{n:08X},192.0.2.10:25,{ip}:31544,{ip},,x{n % 97}@cheap.example,,u{rnd.randrange(9999)}@kontor.example,1,"
                "Recipient Filter Agent,OnRcptCommand,RejectCommand,550 5.1.1 User unknown,RecipientDoesNotExist,,,,,Incoming\r\n")
with open(os.path.join(sys.argv[1], "MSGTRK2026030200-1.LOG"), "w", newline="", encoding="utf-8") as f:
    head(f, "Message Tracking Log", tracking)
    for n in range(0, 1_000_000, 2):
        ip, who = rnd.choice(sources), f"u{rnd.randrange(9999)}@kontor.example"
        mid = f"<{n}@cheap.example>,1e6eb197-0000-4234-1b69-{n:012x}"
        f.write(f"{stamp(n)},192.0.2.21,MBX01.kontor.example,192.0.2.21,MBX01,08DC1DB1{n:08X};{stamp(n)};0,MBX01\\Default MBX01,SMTP,RECEIVE,{n},{mid},{who},,2311,1,,,"
                f"offer,x@cheap.example,x@cheap.example,,Incoming,,{ip},192.0.2.21,S:ProxiedClientIPAddress={ip};S:ProxiedClientHostname=friend,Email,,15.02.0330.005\r\n")
        what = ("ROUTING,FAIL", "'550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup'") if n % 5 else ("STOREDRIVER,DELIVER", "")
        f.write(f"{stamp(n + 1)},,,,MBX01,,,{what[0]},{n},{mid},{who},{what[1]},2311,1,,,offer,x@cheap.example,x@cheap.example,,Incoming,,{ip},,,Email,,15.02.0330.005\r\n")
