import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Topics, offsets, groups and users. Responses are fields of text; a change is complete when its response is sent. */
final class Administration {
    private static final long DEADLINE_MS = 30_000;
    private static final long POLL_MS = 20;
    private static final int SCRAM_ITERATIONS = 4096;

    private final Admin admin;

    Administration(String servers) {
        admin = Admin.create(Map.of(
            "bootstrap.servers", servers,
            "default.api.timeout.ms", String.valueOf(DEADLINE_MS),
            "request.timeout.ms", "10000"));
    }

    List<String> answer(List<String> request) throws Exception {
        String subject = request.size() > 1 ? request.get(1) : null;
        List<String> rest = request.subList(Math.min(2, request.size()), request.size());
        return switch (request.get(0)) {
            case "create-topic" -> createTopic(subject, rest);
            case "create-topic-on" -> createTopicOn(subject, rest);
            case "client-quota" -> setClientQuota(subject, rest.get(0), Double.parseDouble(rest.get(1)));
            case "delete-topic" -> deleteTopic(subject);
            case "add-partitions" -> addPartitions(subject, Integer.parseInt(rest.get(0)));
            case "configure-topic" -> configureTopic(subject, rest);
            case "topic-exists" -> List.of(String.valueOf(describe(subject).isPresent()));
            case "topic-id" -> List.of(describe(subject).orElseThrow().topicId().toString());
            case "leaders" -> describe(subject).orElseThrow().partitions().stream()
                .map(partition -> String.valueOf(partition.leader() == null ? -1 : partition.leader().id())).toList();
            case "delete-records" -> deleteRecords(partition(subject, rest.get(0)), Long.parseLong(rest.get(1)));
            case "list-offsets" -> listOffsets(subject, rest.get(0));
            case "committed" -> committed(subject);
            case "commit-offset" -> commit(subject, rest);
            case "delete-group" -> deleteGroup(subject);
            case "describe-group" -> describeGroup(subject);
            case "set-scram-password" -> setScramPassword(subject, rest.get(0), rest.get(1));
            case "allow" -> allow(subject, rest.get(0), rest.get(1), rest.get(2));
            default -> throw new IllegalArgumentException("unknown request " + request.get(0));
        };
    }

    private List<String> createTopic(String name, List<String> rest) throws Exception {
        int partitions = Integer.parseInt(rest.get(0));
        Map<String, String> configs = pairs(rest.subList(1, rest.size()));
        NewTopic topic = new NewTopic(name, Optional.of(partitions), Optional.empty()).configs(configs);
        try {
            admin.createTopics(Set.of(topic)).all().get();
        } catch (ExecutionException e) {
            if (!(e.getCause() instanceof UnsupportedVersionException)) {
                throw e;
            }
            // Before 2.4 the replication factor has no default (KIP-464).
            short replicas = (short) admin.describeCluster().nodes().get().size();
            admin.createTopics(Set.of(new NewTopic(name, partitions, replicas).configs(configs))).all().get();
        }
        return List.of(awaitPartitions(name, partitions).topicId().toString());
    }

    /** Creates one partition on these nodes (separated by commas), with the first one as leader. */
    private List<String> createTopicOn(String name, List<String> rest) throws Exception {
        List<Integer> nodes = Arrays.stream(rest.get(0).split(",")).map(Integer::valueOf).toList();
        NewTopic topic = new NewTopic(name, Map.of(0, nodes)).configs(pairs(rest.subList(1, rest.size())));
        admin.createTopics(Set.of(topic)).all().get();
        return List.of(awaitPartitions(name, 1).topicId().toString());
    }

    private List<String> setClientQuota(String clientId, String quota, double value) throws Exception {
        ClientQuotaEntity client = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, clientId));
        admin.alterClientQuotas(List.of(new ClientQuotaAlteration(client,
            List.of(new ClientQuotaAlteration.Op(quota, value))))).all().get();
        await("the quota of " + clientId, () -> Optional.ofNullable(
            admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().get(client)));
        return List.of();
    }

    private List<String> deleteTopic(String name) throws Exception {
        admin.deleteTopics(Set.of(name)).all().get();
        await("the end of topic " + name, () -> describe(name).isEmpty() ? Optional.of(name) : Optional.empty());
        return List.of();
    }

    private List<String> addPartitions(String name, int total) throws Exception {
        admin.createPartitions(Map.of(name, NewPartitions.increaseTo(total))).all().get();
        awaitPartitions(name, total);
        return List.of();
    }

    private List<String> configureTopic(String name, List<String> pairs) throws Exception {
        Collection<AlterConfigOp> changes = new ArrayList<>();
        for (int i = 0; i + 1 < pairs.size(); i += 2) {
            changes.add(new AlterConfigOp(new ConfigEntry(pairs.get(i), pairs.get(i + 1)), AlterConfigOp.OpType.SET));
        }
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, name);
        admin.incrementalAlterConfigs(Map.of(topic, changes)).all().get();
        return List.of();
    }

    private List<String> deleteRecords(TopicPartition partition, long before) throws Exception {
        admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(before))).all().get();
        return List.of();
    }

    private List<String> listOffsets(String topic, String which) throws Exception {
        OffsetSpec place = which.equals("start") ? OffsetSpec.earliest() : OffsetSpec.latest();
        IsolationLevel level = which.equals("stable") ? IsolationLevel.READ_COMMITTED : IsolationLevel.READ_UNCOMMITTED;
        int partitions = describe(topic).orElseThrow().partitions().size();
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        for (int i = 0; i < partitions; i++) {
            asked.put(new TopicPartition(topic, i), place);
        }
        var offsets = admin.listOffsets(asked, new ListOffsetsOptions(level)).all().get();
        List<String> fields = new ArrayList<>();
        for (int i = 0; i < partitions; i++) {
            fields.add(String.valueOf(offsets.get(new TopicPartition(topic, i)).offset()));
        }
        return fields;
    }

    private List<String> committed(String group) throws Exception {
        List<String> fields = new ArrayList<>();
        for (var entry : admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().entrySet()) {
            OffsetAndMetadata offset = entry.getValue();
            if (offset != null) {
                fields.add(entry.getKey().topic());
                fields.add(String.valueOf(entry.getKey().partition()));
                fields.add(String.valueOf(offset.offset()));
                fields.add(String.valueOf(offset.leaderEpoch().orElse(-1)));
                fields.add(offset.metadata());
            }
        }
        return fields;
    }

    private List<String> commit(String group, List<String> rest) throws Exception {
        OffsetAndMetadata offset = new OffsetAndMetadata(Long.parseLong(rest.get(2)), rest.get(3));
        admin.alterConsumerGroupOffsets(group, Map.of(partition(rest.get(0), rest.get(1)), offset)).all().get();
        return List.of();
    }

    private List<String> deleteGroup(String group) throws Exception {
        admin.deleteConsumerGroups(Set.of(group)).all().get();
        return List.of();
    }

    /** Coordinator, type, assignor, state; then for each member: id, instance id, client id, and its partitions as topic:partition. */
    private List<String> describeGroup(String group) throws Exception {
        ConsumerGroupDescription described = admin.describeConsumerGroups(Set.of(group)).all().get().get(group);
        List<String> fields = new ArrayList<>(List.of(
            String.valueOf(described.coordinator().id()),
            described.type().toString(),
            described.partitionAssignor(),
            described.state().toString()));
        for (MemberDescription member : described.members()) {
            fields.add(member.consumerId());
            fields.add(member.groupInstanceId().orElse(""));
            fields.add(member.clientId());
            fields.add(member.assignment().topicPartitions().stream()
                .map(partition -> partition.topic() + ":" + partition.partition()).collect(Collectors.joining(" ")));
        }
        return fields;
    }

    private List<String> setScramPassword(String user, String mechanism, String password) throws Exception {
        ScramCredentialInfo info = new ScramCredentialInfo(ScramMechanism.fromMechanismName(mechanism), SCRAM_ITERATIONS);
        admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(user, info, password))).all().get();
        // The broker applies it from the metadata log, like an ACL, so a request right after this may still fail.
        await("user " + user, () -> admin.describeUserScramCredentials(List.of(user)).all().get().get(user)
            .credentialInfos().stream().filter(known -> known.mechanism() == info.mechanism()).findAny());
        return List.of();
    }

    private List<String> allow(String user, String operation, String resource, String name) throws Exception {
        ResourcePattern pattern = new ResourcePattern(ResourceType.fromString(resource), name, PatternType.LITERAL);
        AccessControlEntry entry = new AccessControlEntry(
            "User:" + user, "*", AclOperation.fromString(operation), AclPermissionType.ALLOW);
        AclBinding binding = new AclBinding(pattern, entry);
        admin.createAcls(List.of(binding)).all().get();
        await("the ACL", () -> admin.describeAcls(binding.toFilter()).values().get().stream().findAny());
        return List.of();
    }

    /**
     * Waits until the leaders respond: metadata names a leader before it has created its log. A producer in between may have its first
     * batch refused and its second one accepted, after which the partition refuses the first one forever (out of order).
     */
    private TopicDescription awaitPartitions(String topic, int partitions) throws Exception {
        TopicDescription ready = await("a leader of every partition of " + topic, () -> describe(topic).filter(description -> {
            List<TopicPartitionInfo> known = description.partitions();
            return known.size() == partitions && known.stream().allMatch(partition -> partition.leader() != null);
        }));
        await("an answer of every leader of " + topic, () -> {
            try {
                return Optional.of(listOffsets(topic, "end"));
            } catch (NoSuchElementException exception) {
                // One of several nodes may not know the topic yet.
                return Optional.empty();
            } catch (ExecutionException exception) {
                if (exception.getCause() instanceof UnknownTopicOrPartitionException) {
                    return Optional.empty();
                }
                throw exception;
            }
        });
        return ready;
    }

    private Optional<TopicDescription> describe(String topic) throws Exception {
        try {
            return Optional.of(admin.describeTopics(Set.of(topic)).allTopicNames().get().get(topic));
        } catch (ExecutionException exception) {
            if (exception.getCause() instanceof UnknownTopicOrPartitionException) {
                return Optional.empty();
            }
            throw exception;
        }
    }

    private static Map<String, String> pairs(List<String> fields) {
        Map<String, String> pairs = new HashMap<>();
        for (int i = 0; i + 1 < fields.size(); i += 2) {
            pairs.put(fields.get(i), fields.get(i + 1));
        }
        return pairs;
    }

    private static TopicPartition partition(String topic, String number) {
        return new TopicPartition(topic, Integer.parseInt(number));
    }

    private interface Look<T> {
        Optional<T> look() throws Exception;
    }

    private static <T> T await(String what, Look<T> condition) throws Exception {
        long deadline = System.currentTimeMillis() + DEADLINE_MS;
        while (System.currentTimeMillis() < deadline) {
            Optional<T> found = condition.look();
            if (found.isPresent()) {
                return found.get();
            }
            Thread.sleep(POLL_MS);
        }
        throw new TimeoutException(what + " did not come within " + DEADLINE_MS + " ms");
    }
}
